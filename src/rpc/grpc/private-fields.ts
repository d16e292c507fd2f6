/**
 * This file has all code that reads private fields of grpc-js or relies on its internal behaviour. The code is needed
 * because grpc-js does not expose its HTTP/2 servers and passes on only two of their options. If a release of grpc-js
 * renames one of these fields, test/resilience/abusive-clients.test.ts fails.
 */
import type { Http2Server, ServerOptions } from 'node:http2';
import type { Server } from '@grpc/grpc-js';
import { COMPRESSED_FLAG } from './envelope.ts';

interface PrivateFields {
  commonServerOptions: ServerOptions;
  http2Servers: Map<Http2Server, unknown>;
}

/**
 * Returns the HTTP/2 stream of a call of grpc-js. The service finds the admitted call by this stream. If a
 * release of grpc-js renames these fields, the service finds no admitted call, and every gRPC test fails.
 */
export function streamOf(call: unknown): object | undefined {
  return (call as { call?: { stream?: object } }).call?.stream;
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
 * A message that is compressed already. grpc-js cannot send such a message: it writes the flag "not compressed" into
 * the buffer of an answer, and then calls `copy` of the message to write the message behind the prefix. The `copy` of
 * this class also sets the flag to "compressed". If a release of grpc-js copies messages in another way,
 * test/rpc/response-compression.test.ts fails.
 */
export class CompressedMessage {
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get byteLength(): number {
    return this.#bytes.byteLength;
  }

  copy(target: Buffer, at: number): number {
    target[0] = COMPRESSED_FLAG;
    return this.#bytes.copy(target, at);
  }
}
