import type { Http2Server, ServerOptions } from 'node:http2';
import type { Server } from '@grpc/grpc-js';

/**
 * grpc-js keeps its HTTP/2 servers to itself, and passes on two of their options.
 * These fields are private; test/resilience/wire.test.ts fails where a release has
 * them no more.
 */
interface Insides {
  commonServerOptions: ServerOptions;
  http2Servers: Map<Http2Server, unknown>;
}

/** The HTTP/2 stream of a call. Where its inside changes, no call finds its admission, and every test fails. */
export function streamOf(call: unknown): object | undefined {
  return (call as { call?: { stream?: object } }).call?.stream;
}

/** Before it listens. */
export function setHttp2Options(server: Server, options: ServerOptions): void {
  Object.assign((server as unknown as Insides).commonServerOptions, options);
}

/** One for each address, once it listens. */
export function http2Servers(server: Server): Iterable<Http2Server> {
  return (server as unknown as Insides).http2Servers.keys();
}
