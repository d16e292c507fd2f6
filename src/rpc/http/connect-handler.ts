import { AsyncLocalStorage } from 'node:async_hooks';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import type { Socket } from 'node:net';
import type { DescMethod } from '@bufbuild/protobuf';
import {
  Code,
  ConnectError,
  type ContextValues,
  createConnectRouter,
  createContextValues,
  type ServiceImpl,
} from '@connectrpc/connect';
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from '@connectrpc/connect-node';
import { FileService } from '../../../gen/files/v1/file_service_pb.ts';
import { ServerReflection as ServerReflectionV1 } from '../../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionV1Alpha } from '../../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { ADMITTED_CALL, type AdmittedCall, type CallGate } from '../call-gate.ts';
import { createCaller } from '../caller.ts';
import { messagesTooMany, messageTooLarge, toConnectError } from '../errors.ts';
import type { ConnectionLimit } from '../limits/connection-limit.ts';
import { OPEN_STREAMS_PER_CONNECTION_MAX } from '../limits/limits.ts';
import {
  MESSAGE_MAX_BYTES,
  MESSAGE_PREFIX_BYTES,
  type MessageBudget,
  messageMaxBytes,
} from '../limits/message-limits.ts';
import { createReflection } from '../reflection.ts';
import { takeTimeout } from '../timeout-headers.ts';
import { requestCompressions } from './compression.ts';
import { refuseCall } from './refusal.ts';

export interface ConnectHandlerOptions {
  fileService: ServiceImpl<typeof FileService>;
  gate: CallGate;
  connections: ConnectionLimit;
  budget: MessageBudget;
}

/**
 * Creates the handler for calls by Connect, gRPC-Web and gRPC, over HTTP/1.1 and HTTP/2.
 *
 * connect-node's own adapter decodes gRPC messages as they arrive. This handler reads a whole request before
 * it inflates any of it.
 *
 * @returns the handler. It returns `false` and does nothing if the path is not the path of a method. It
 *   throws if path and authority do not form a URL.
 */
export function createConnectHandler(options: ConnectHandlerOptions) {
  const { fileService, gate, connections, budget } = options;
  const compressedCalls = new AsyncLocalStorage<ContextValues>();
  const router = createConnectRouter({
    acceptCompression: requestCompressions(
      () => compressedCalls.getStore()?.get(ADMITTED_CALL)?.userId ?? '',
    ),
    binaryOptions: { readUnknownFields: false },
    readMaxBytes: MESSAGE_MAX_BYTES,
  });
  for (const method of FileService.methods) {
    const run = fileService[method.localName as keyof typeof fileService];
    router.rpc(method, run as never, { readMaxBytes: messageMaxBytes(method, 'json') });
  }
  // The health service is offered on the gRPC port only. On this port `/livez` and `/readyz` tell the health.
  const reflection = createReflection([FileService]);
  // Compression is off for streams: each message would be inflated as it arrives, by a decoder that the
  // stream keeps.
  const uncompressed = { acceptCompression: [] };
  router.service(ServerReflectionV1, reflection.v1, uncompressed);
  router.service(ServerReflectionV1Alpha, reflection.v1alpha, uncompressed);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));

  const openStreams = new WeakMap<object, number>();

  return (request: IncomingMessage, response: ServerResponse, onAdmitted: () => void): boolean => {
    const handler = handlers.get((request.url ?? '').split('?', 1)[0] ?? '');
    if (handler === undefined) return false;
    const { method } = handler;
    if (request.method !== 'POST') {
      response.writeHead(405, { allow: 'POST' }).end();
      return true;
    }
    const values = createContextValues();
    const timeoutMs = takeTimeout(request.headers);
    try {
      // Refusals happen here, before connect-node: it takes up to 0.9 ms for one, and a packet may open 1,000
      // streams.
      if (method.parent === FileService) {
        const call = admit(method, timeoutMs, request, response);
        values.set(ADMITTED_CALL, call);
        onAdmitted();
      } else {
        openStream(request, response);
      }
    } catch (error) {
      refuseCall(request.headers, response, toConnectError(error));
      return true;
    }
    const universal = universalRequestFromNodeRequest(request, response, undefined, values);
    if (method.methodKind === 'unary') {
      const body = universal.body as AsyncIterable<Uint8Array>;
      const take = { budget, userId: values.get(ADMITTED_CALL)?.userId };
      universal.body = wholeBody(body, request, maxBodyBytes(method, request), take);
    }
    const serve = () =>
      handler(universal)
        .then((answer) => universalResponseToNodeResponse(answer, response))
        // The response cannot be written, because the client has disconnected.
        .catch(() => response.destroy());
    if (isCompressed(request)) void compressedCalls.run(values, serve);
    else void serve();
    return true;
  };

  /** @throws ConnectError */
  function admit(
    method: DescMethod,
    timeoutMs: number | undefined,
    request: IncomingMessage,
    response: ServerResponse,
  ): AdmittedCall {
    const socket = socketOf(request);
    const connection = socket && connections.of(socket);
    const caller = createCaller(request.headers, socket);
    const call = gate.admit(method.name, caller, timeoutMs, connection);
    connection?.callBegins();
    response.once('close', () => {
      connection?.callEnds();
      call.close();
    });
    return call;
  }

  /** @throws ConnectError RESOURCE_EXHAUSTED */
  function openStream(request: IncomingMessage, response: ServerResponse): void {
    const socket = socketOf(request);
    if (socket === undefined) return;
    const open = (openStreams.get(socket) ?? 0) + 1;
    if (open > OPEN_STREAMS_PER_CONNECTION_MAX) throw tooManyStreams();
    openStreams.set(socket, open);
    response.once('close', () => openStreams.set(socket, (openStreams.get(socket) ?? 1) - 1));
  }
}

/** The socket of a request. Over HTTP/2 all calls of a connection share a socket. */
function socketOf(request: IncomingMessage | Http2ServerRequest): Socket | undefined {
  return 'stream' in request ? (request.stream.session?.socket as Socket | undefined) : request.socket;
}

function tooManyStreams(): ConnectError {
  return new ConnectError(
    `a connection may have at most ${OPEN_STREAMS_PER_CONNECTION_MAX} open streams`,
    Code.ResourceExhausted,
  );
}

/** Connect declares the compression in `content-encoding`, gRPC and gRPC-Web in `grpc-encoding`. */
function isCompressed({ headers }: IncomingMessage): boolean {
  return headers['content-encoding'] !== undefined || headers['grpc-encoding'] !== undefined;
}

function maxBodyBytes(method: DescMethod, { headers }: IncomingMessage): number {
  const isJson = headers['content-type']?.includes('json') ?? false;
  return messageMaxBytes(method, isJson ? 'json' : 'binary') + MESSAGE_PREFIX_BYTES;
}

/**
 * Yields the body as one chunk, once the request has ended. The body counts in the budget until the handler
 * asks for the next chunk, which the handler does after it has decoded the body.
 *
 * @throws ConnectError RESOURCE_EXHAUSTED
 */
async function* wholeBody(
  body: AsyncIterable<Uint8Array>,
  { headers }: IncomingMessage,
  maxBytes: number,
  { budget, userId }: { budget: MessageBudget; userId: string | undefined },
): AsyncGenerator<Uint8Array> {
  if (Number(headers['content-length'] ?? 0) > maxBytes) throw messageTooLarge(maxBytes);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body) {
      if (bytes + chunk.length > maxBytes) throw messageTooLarge(maxBytes);
      if (!budget.take(userId, chunk.length)) throw messagesTooMany();
      bytes += chunk.length;
      // Copies the chunk, which is a slice of the connection's read buffer and would keep the whole buffer in
      // memory.
      chunks.push(Buffer.from(chunk));
    }
    yield Buffer.concat(chunks, bytes);
  } finally {
    budget.giveBack(userId, bytes);
  }
}
