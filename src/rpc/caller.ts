import type { IncomingHttpHeaders } from 'node:http';

/**
 * The headers and the connection of one call. Nothing else of a call is read before the call gate admits the
 * call.
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
