import type { IncomingHttpHeaders } from 'node:http';

/**
 * The headers and the connection of one call. Nothing else of a call is read before the call gate admits the
 * call.
 */
export class Caller {
  /** The socket; `undefined` when the socket has closed already. */
  readonly connection: object | undefined;
  readonly #headers: IncomingHttpHeaders;

  constructor(headers: IncomingHttpHeaders, connection: object | undefined) {
    this.#headers = headers;
    this.connection = connection;
  }

  /** The value of a header. @param name in lower case @returns several values joined by a comma */
  header(name: string): string | undefined {
    const value = this.#headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  headerNames(): Iterable<string> {
    return Object.keys(this.#headers);
  }
}

/** The host that a request was sent to, with its port. */
export function authorityOf(headers: IncomingHttpHeaders): string | undefined {
  return (headers[':authority'] as string | undefined) ?? headers.host;
}
