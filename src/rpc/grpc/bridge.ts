/**
 * Serves the streaming methods of a Connect `ServiceImpl` on a grpc-js `Server`. protobuf-es encodes the messages.
 */
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { type DescMessage, type DescMethod, type DescService, fromBinary } from '@bufbuild/protobuf';
import { ConnectError, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import type {
  handleBidiStreamingCall,
  MethodDefinition,
  Server,
  ServerDuplexStream,
  UntypedHandleCall,
} from '@grpc/grpc-js';
import { toConnectError } from '../errors.ts';
import { decodeRequest, encodeMessage } from './codec.ts';
import { grpcStatus } from './status.ts';

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
    requestSerialize: (message) => encodeMessage(input, message),
    requestDeserialize: (bytes) => decode(input, bytes),
    responseSerialize: (answer) => encodeMessage(output, answer),
    responseDeserialize: (bytes) => fromBinary(output, bytes),
  };
}

/**
 * Returns the error for a request that cannot be decoded, in place of its message. If the decoder threw an error instead,
 * grpc-js would answer INTERNAL, although the caller made the error.
 */
function decode(schema: DescMessage, bytes: Uint8Array): unknown {
  try {
    return decodeRequest(schema, bytes);
  } catch (error) {
    return error;
  }
}

/** The implementation of a method. */
type Run = (input: AsyncIterable<unknown>, context: HandlerContext) => AsyncIterable<unknown>;

function handlerFor(run: Run): handleBidiStreamingCall<unknown, unknown> {
  return async (call) => {
    try {
      // The implementations read nothing of a context.
      await send(run(messagesOf(call), {} as HandlerContext), call);
    } catch (error) {
      call.emit('error', grpcStatus(toConnectError(error)));
    }
  };
}

/**
 * Yields the messages of a request stream. If a handler stops reading early, the call must not be destroyed,
 * because the server still has to send the status.
 */
async function* messagesOf(call: Readable): AsyncGenerator<unknown> {
  for await (const message of call.iterator({ destroyOnReturn: false })) {
    if (message instanceof ConnectError) throw message;
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
