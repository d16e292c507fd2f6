import type { IncomingHttpHeaders } from 'node:http';

/**
 * The headers and the connection of one call. Nothing else of a call is read before the call gate admits the
 * call.
 */
export interface Caller {
  /** The value of a header. @param name in lower case @returns several values joined by a comma */
  header(name: string): string | undefined;
  headerNames(): Iterable<string>;
  /** The socket; `undefined` when the socket has closed already. */
  readonly connection: object | undefined;
}

/**
 * A class, because one caller is made for each call. Node's HTTP/1 and HTTP/2 servers have headers of the
 * same form.
 */
class HeadersCaller implements Caller {
  readonly connection: object | undefined;
  readonly #headers: IncomingHttpHeaders;

  constructor(headers: IncomingHttpHeaders, connection: object | undefined) {
    this.#headers = headers;
    this.connection = connection;
  }

  header(name: string): string | undefined {
    const value = this.#headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  headerNames(): Iterable<string> {
    return Object.keys(this.#headers);
  }
}

export function createCaller(headers: IncomingHttpHeaders, connection: object | undefined): Caller {
  return new HeadersCaller(headers, connection);
}

/** The host that a request was sent to, with its port. */
export function authorityOf(headers: IncomingHttpHeaders): string | undefined {
  return (headers[':authority'] as string | undefined) ?? headers.host;
}
