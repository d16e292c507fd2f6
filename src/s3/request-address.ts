/** The part of a request that names the server, in the form that the request handler of the AWS SDK takes. */
interface RequestAddress {
  protocol: string;
  hostname: string;
  port?: number;
  /** Empty, because `path` of each request has the query already. */
  query: Record<string, never>;
}

/** The request handler sends no Host header by itself, so each request also needs `headers: { host: url.host }`. */
export function requestAddress({ protocol, hostname, port }: URL): RequestAddress {
  return { protocol, hostname, ...(port && { port: Number(port) }), query: {} };
}
