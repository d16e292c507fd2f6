import type { IncomingHttpHeaders } from 'node:http';

/** The sender of one call, as its headers and its connection tell: all that is read before anything is done for it. */
export interface Caller {
  /** The value of a header, by its name in lower case; several values are joined by a comma. */
  header(name: string): string | undefined;
  headerNames(): Iterable<string>;
  /** The socket; `undefined` when it is gone already. */
  readonly connection: object | undefined;
}

/** A class, because one is made for each call. Both protocols' servers give the headers in the same form. */
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
