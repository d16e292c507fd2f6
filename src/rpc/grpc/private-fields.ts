/**
 * All accesses to private fields of grpc-js. grpc-js does not expose its HTTP/2 servers and passes on only
 * two of their options. If a release of grpc-js renames one of these fields,
 * test/resilience/abusive-clients.test.ts fails.
 */
import type { Http2Server, ServerOptions } from 'node:http2';
import type { Server } from '@grpc/grpc-js';

interface PrivateFields {
  commonServerOptions: ServerOptions;
  http2Servers: Map<Http2Server, unknown>;
}

/**
 * The HTTP/2 stream of a call. If these fields change, no call finds its admitted call, and every gRPC test
 * fails.
 */
export function streamOf(call: unknown): object | undefined {
  return (call as { call?: { stream?: object } }).call?.stream;
}

/** Must be called before the server listens. */
export function setHttp2Options(server: Server, options: ServerOptions): void {
  Object.assign((server as unknown as PrivateFields).commonServerOptions, options);
}

/** The HTTP/2 servers: one for each address, once the server listens. */
export function http2Servers(server: Server): Iterable<Http2Server> {
  return (server as unknown as PrivateFields).http2Servers.keys();
}
