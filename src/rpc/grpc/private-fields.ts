/**
 * This file has all code that reads private fields of grpc-js or relies on its internal behaviour. The code is needed
 * because grpc-js does not expose its HTTP/2 servers and passes on only two of their options. If a release of grpc-js
 * renames one of these fields, test/resilience/abusive-clients.test.ts fails.
 */
import type { Http2Server, ServerHttp2Stream, ServerOptions } from 'node:http2';
import type { Server } from '@grpc/grpc-js';

interface PrivateFields {
  commonServerOptions: ServerOptions;
  http2Servers: Map<Http2Server, unknown>;
  onStreamOpened(stream: ServerHttp2Stream): void;
}

/** Must be called before the server listens. */
export function setHttp2Options(server: Server, options: ServerOptions): void {
  Object.assign((server as unknown as PrivateFields).commonServerOptions, options);
}

/** Returns the HTTP/2 servers of grpc-js: one for each address, once the server listens. */
export function http2Servers(server: Server): Iterable<Http2Server> {
  return (server as unknown as PrivateFields).http2Servers.keys();
}

/**
 * Tells grpc-js about a stream that it does not get. grpc-js closes connections that have no stream for IDLE_TIMEOUT_MS
 * (`../limits/limits.ts`). If a release of grpc-js renames this method, every call fails, and so every gRPC test.
 */
export function countStream(server: Server, stream: ServerHttp2Stream): void {
  (server as unknown as PrivateFields).onStreamOpened(stream);
}
