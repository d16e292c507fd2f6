import type { IncomingHttpHeaders } from 'node:http';

/**
 * The headers and the connection of one call. The service reads nothing else of a call before the call gate
 * (`call-gate.ts`) admits the call.
 */
export interface Caller {
  readonly headers: IncomingHttpHeaders;
  /** The socket; `undefined` when the socket has closed already. */
  readonly connection: object | undefined;
}

/** The host that a request was sent to, with its port. */
export function authorityOf(headers: IncomingHttpHeaders): string | undefined {
  return (headers[':authority'] as string | undefined) ?? headers.host;
}
