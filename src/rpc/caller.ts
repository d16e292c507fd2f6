import type { IncomingHttpHeaders } from 'node:http';

/** The sender of one call, as its headers and its connection tell: all that is read before anything is done for it. */
export interface Caller {
  /** The value of a header, by its name in lower case; several values are joined by a comma. */
  header(name: string): string | undefined;
  headerNames(): Iterable<string>;
  /** The host that the request was sent to, with its port: `:authority` or `Host`. */
  readonly authority: string | undefined;
  /** The socket; `undefined` when it is gone already. */
  readonly connection: object | undefined;
}

/** Both protocols' servers give the headers in the same form. */
export function createCaller(headers: IncomingHttpHeaders, connection: object | undefined): Caller {
  return {
    header(name) {
      const value = headers[name];
      return Array.isArray(value) ? value.join(', ') : value;
    },
    headerNames: () => Object.keys(headers),
    get authority() {
      return authorityOf(headers);
    },
    connection,
  };
}

export function authorityOf(headers: IncomingHttpHeaders): string | undefined {
  return (headers[':authority'] as string | undefined) ?? headers.host;
}
