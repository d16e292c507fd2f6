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
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import type {
  handleBidiStreamingCall,
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  MethodDefinition,
  Server,
  sendUnaryData,
  UntypedHandleCall,
} from '@grpc/grpc-js';
import { toConnectError } from '../errors.ts';
import { type GrpcCall, GrpcCallContext } from './call-context.ts';
import { grpcStatus } from './status.ts';

/**
 * Serves a Connect `ServiceImpl` on a grpc-js `Server`: grpc-js has the wire
 * (draining, keepalive, limits), protobuf-es the messages. An empty call costs
 * 42 µs so, and 245 µs on connect-node's own gRPC (measured: design, §5).
 */
export function addService<Service extends DescService>(
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
  const { input, output, methodKind } = method;
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: methodKind === 'client_streaming' || methodKind === 'bidi_streaming',
    responseStream: methodKind === 'server_streaming' || methodKind === 'bidi_streaming',
    requestSerialize: (message) => encode(input, message),
    requestDeserialize: (bytes) => decode(input, bytes),
    responseSerialize: (message) => encode(output, message),
    responseDeserialize: (bytes) => fromBinary(output, bytes),
  };
}

/** A request that is no message of its type: grpc-js would answer INTERNAL, as if it were not the caller's error. */
class Malformed {}

function decode(schema: DescMessage, bytes: Uint8Array): unknown {
  try {
    // What is unknown is dropped: it would be kept in objects fifty times its size, and nothing reads it.
    return fromBinary(schema, bytes, { readUnknownFields: false });
  } catch {
    return new Malformed();
  }
}

function encode(schema: DescMessage, message: unknown): Buffer {
  // An implementation may return what a message is made from.
  const bytes = toBinary(schema, create(schema, message as never));
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** What a method's kind makes of it: a promise of one message, or a stream of many. */
type Run = (input: unknown, context: HandlerContext) => unknown;

function handlerFor(method: DescMethod, run: Run): UntypedHandleCall {
  const one = async (call: GrpcCall, input: unknown, respond: sendUnaryData<unknown>) => {
    try {
      respond(null, await run(checked(input, method), new GrpcCallContext(method, call)));
    } catch (error) {
      respond(grpcStatus(toConnectError(error)));
    }
  };
  const many = async (call: Sink, input: unknown) => {
    try {
      const answers = run(checked(input, method), new GrpcCallContext(method, call));
      await send(answers as AsyncIterable<unknown>, call);
    } catch (error) {
      call.emit('error', grpcStatus(toConnectError(error)));
    }
  };
  switch (method.methodKind) {
    case 'unary':
      return ((call, respond) => one(call, call.request, respond)) satisfies handleUnaryCall<
        unknown,
        unknown
      >;
    case 'client_streaming':
      return ((call, respond) =>
        one(call, messagesOf(call, method), respond)) satisfies handleClientStreamingCall<unknown, unknown>;
    case 'server_streaming':
      return ((call) => many(call, call.request)) satisfies handleServerStreamingCall<unknown, unknown>;
    case 'bidi_streaming':
      return ((call) => many(call, messagesOf(call, method))) satisfies handleBidiStreamingCall<
        unknown,
        unknown
      >;
  }
}

/** A stream whose reading ends early is not destroyed by that: it has a status to send. */
async function* messagesOf(call: Readable, method: DescMethod): AsyncGenerator<unknown> {
  for await (const message of call.iterator({ destroyOnReturn: false })) yield checked(message, method);
}

/** @throws ConnectError INVALID_ARGUMENT */
function checked(message: unknown, method: DescMethod): unknown {
  if (message instanceof Malformed) throw malformed(method);
  return message;
}

function malformed({ input }: DescMethod): ConnectError {
  return new ConnectError(`the request is not a ${input.typeName}`, Code.InvalidArgument);
}

type Sink = Parameters<
  handleServerStreamingCall<unknown, unknown> | handleBidiStreamingCall<unknown, unknown>
>[0];

async function send(messages: AsyncIterable<unknown>, call: Sink): Promise<void> {
  for await (const message of messages) {
    if (call.cancelled) return;
    // A reader that is slow, or gone: wait for either.
    if (!call.write(message)) await Promise.race([once(call, 'drain'), once(call, 'cancelled')]);
  }
  call.end();
}
