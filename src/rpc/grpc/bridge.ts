/**
 * Serves the streaming methods of a Connect `ServiceImpl` on a grpc-js `Server`. protobuf-es encodes the messages.
 */
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  toBinary,
} from '@bufbuild/protobuf';
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type {
  handleBidiStreamingCall,
  MethodDefinition,
  Server,
  ServerDuplexStream,
  UntypedHandleCall,
} from '@grpc/grpc-js';
import { toConnectError } from '../errors.ts';
import { grpcStatus, undecodable } from './status.ts';

/** Adds a service to the server. All methods of the service have streams in both directions, as reflection has. */
export function addStreams<Service extends DescService>(
  server: Server,
  service: Service,
  implementation: ServiceImpl<Service>,
): void {
  const definition: Record<string, MethodDefinition<unknown, unknown>> = {};
  const handlers: Record<string, UntypedHandleCall> = {};
  for (const method of service.methods) {
    definition[method.localName] = methodDefinition(method);
    handlers[method.localName] = handlerFor(
      method,
      implementation[method.localName as keyof typeof implementation] as Run,
    );
  }
  server.addService(definition, handlers);
}

function methodDefinition(method: DescMethod): MethodDefinition<unknown, unknown> {
  const { input, output } = method;
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: true,
    responseStream: true,
    requestSerialize: (message) => encode(input, message),
    requestDeserialize: (bytes) => decode(input, bytes),
    responseSerialize: (answer) => encode(output, answer),
    responseDeserialize: (bytes) => fromBinary(output, bytes),
  };
}

/**
 * Stands for a request that cannot be decoded. If the decoder threw an error instead, grpc-js would answer
 * INTERNAL, although the caller made the error.
 */
class Malformed {}

function decode(schema: DescMessage, bytes: Uint8Array): unknown {
  try {
    // Unknown fields are dropped. Nothing reads them, and protobuf-es would keep them in objects that take fifty
    // times as much memory.
    return fromBinary(schema, bytes, { readUnknownFields: false });
  } catch {
    return new Malformed();
  }
}

function encode(schema: DescMessage, message: unknown): Buffer {
  // An implementation may return the init object of a message instead of the message.
  const bytes = toBinary(schema, create(schema, message as never));
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The implementation of a method. */
type Run = (input: AsyncIterable<unknown>, context: HandlerContext) => AsyncIterable<unknown>;

function handlerFor(method: DescMethod, run: Run): handleBidiStreamingCall<unknown, unknown> {
  return async (call) => {
    try {
      // The implementations read nothing of a context.
      await send(run(messagesOf(call, method), {} as HandlerContext), call);
    } catch (error) {
      call.emit('error', grpcStatus(toConnectError(error)));
    }
  };
}

/**
 * Yields the messages of a request stream. If a handler stops reading early, the call must not be destroyed,
 * because the server still has to send the status.
 */
async function* messagesOf(call: Readable, { input }: DescMethod): AsyncGenerator<unknown> {
  for await (const message of call.iterator({ destroyOnReturn: false })) {
    if (message instanceof Malformed) throw undecodable(input);
    yield message;
  }
}

async function send(
  messages: AsyncIterable<unknown>,
  call: ServerDuplexStream<unknown, unknown>,
): Promise<void> {
  for await (const message of messages) {
    if (call.cancelled) return;
    // If the buffer is full, the client reads slowly. This waits until the client has read more, or has cancelled
    // the call.
    if (!call.write(message)) await Promise.race([once(call, 'drain'), once(call, 'cancelled')]);
  }
  call.end();
}
