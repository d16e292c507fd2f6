/**
 * Serves a Connect `ServiceImpl` on a grpc-js `Server`. grpc-js handles the protocol (draining, keepalive,
 * limits), and protobuf-es encodes the messages. An empty call costs the server 42 µs of CPU in this
 * way, and 245 µs with the gRPC of connect-node (measured on Node 24).
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
import {
  type handleBidiStreamingCall,
  type handleUnaryCall,
  Metadata,
  type MethodDefinition,
  type Server,
  type ServerDuplexStream,
  type UntypedHandleCall,
} from '@grpc/grpc-js';
import type { Compress } from '../compress.ts';
import { invalidRequest, toConnectError } from '../errors.ts';
import { admittedCallOn } from './gate.ts';
import { CompressedMessage, streamOf } from './private-fields.ts';
import { grpcStatus } from './status.ts';

/** Adds all methods of a service to the server. */
export function addService<Service extends DescService>(
  server: Server,
  service: Service,
  implementation: ServiceImpl<Service>,
  compress: Compress,
): void {
  const definition: Record<string, MethodDefinition<unknown, unknown>> = {};
  const handlers: Record<string, UntypedHandleCall> = {};
  for (const method of service.methods) {
    definition[method.localName] = methodDefinition(method);
    handlers[method.localName] = handlerFor(
      method,
      implementation[method.localName as keyof typeof implementation] as Run,
      compress,
    );
  }
  server.addService(definition, handlers);
}

function methodDefinition(method: DescMethod): MethodDefinition<unknown, unknown> {
  const { input, output } = method;
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: isStream(method),
    responseStream: isStream(method),
    requestSerialize: (message) => encode(input, message),
    requestDeserialize: (bytes) => decode(input, bytes),
    // `answerOne` below has already encoded the answer of a unary method, because `compress` needs the bytes:
    // only large answers are compressed.
    responseSerialize: (answer) => (isStream(method) ? encode(output, answer) : (answer as Buffer)),
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

/**
 * The implementation of a method. It returns a promise of one message, or an AsyncIterable of many messages.
 */
type Run = (input: unknown, context: HandlerContext) => unknown;

function handlerFor(method: DescMethod, run: Run, compress: Compress): UntypedHandleCall {
  const answerOne: handleUnaryCall<unknown, unknown> = async (call, respond) => {
    try {
      const bytes = encode(method.output, await run(checked(call.request, method), contextOf(call)));
      const { caller, userId } = admittedCallOn(streamOf(call)) ?? {};
      const answer = await compress(bytes, caller?.headers['grpc-accept-encoding'], userId);
      if (answer.compression === undefined) return respond(null, bytes);
      const metadata = new Metadata();
      metadata.set('grpc-encoding', answer.compression);
      call.sendMetadata(metadata);
      respond(null, new CompressedMessage(answer.bytes));
    } catch (error) {
      respond(grpcStatus(toConnectError(error)));
    }
  };
  const answerMany: handleBidiStreamingCall<unknown, unknown> = async (call) => {
    try {
      const answers = run(messagesOf(call, method), contextOf(call));
      await send(answers as AsyncIterable<unknown>, call);
    } catch (error) {
      call.emit('error', grpcStatus(toConnectError(error)));
    }
  };
  return isStream(method) ? answerMany : answerOne;
}

/**
 * Returns whether a method has streams in both directions. The file service has only unary methods, and reflection
 * has only streams in both directions. The health service has a server stream, but is not served by this file.
 */
function isStream({ methodKind }: DescMethod): boolean {
  return methodKind === 'bidi_streaming';
}

/**
 * The context of a call has only the admitted call, because the implementations read nothing else of a context. All
 * other members of HandlerContext are undefined. Creating the member `values` for each call would cost as much as
 * reading all other properties of the call.
 */
function contextOf(call: object): HandlerContext {
  return { admittedCall: admittedCallOn(streamOf(call)) } as unknown as HandlerContext;
}

/**
 * Yields the messages of a request stream. If a handler stops reading early, the call must not be destroyed,
 * because the server still has to send the status.
 */
async function* messagesOf(call: Readable, method: DescMethod): AsyncGenerator<unknown> {
  for await (const message of call.iterator({ destroyOnReturn: false })) yield checked(message, method);
}

/** @throws ConnectError INVALID_REQUEST */
function checked(message: unknown, { input }: DescMethod): unknown {
  if (message instanceof Malformed) {
    throw invalidRequest(`the request is not a ${input.typeName}, or contains a text that is not UTF-8`);
  }
  return message;
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
