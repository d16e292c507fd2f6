import { type ContextKey, createContextKey, type HandlerContext } from '@connectrpc/connect';

/** Who calls, as its wire tells: all that is read of a call before anything is done for it. */
export interface Caller {
  /** What the call's metadata says by this name, in lower case; several values are joined by a comma. */
  header(name: string): string | undefined;
  headerNames(): Iterable<string>;
  /** What the call came over, as its wire's server knows it; `undefined` when it is gone already. */
  readonly connection: object | undefined;
}

/** For a wire whose contexts are Connect's own. */
export const CONNECTION: ContextKey<object | undefined> = createContextKey<object | undefined>(undefined);

/** The gRPC wire's contexts are callers themselves: `Headers`, made for each call, would cost as much as all else that is read. */
export function callerOf(context: HandlerContext): Caller {
  if ('header' in context) return context as HandlerContext & Caller;
  const { requestHeader, values } = context;
  return {
    header: (name) => requestHeader.get(name) ?? undefined,
    headerNames: () => requestHeader.keys(),
    connection: values.get(CONNECTION),
  };
}
