import { AsyncLocalStorage } from 'node:async_hooks';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import type { Socket } from 'node:net';
import { createRegistry } from '@bufbuild/protobuf';
import {
  ConnectError,
  createConnectRouter,
  createContextValues,
  type ServiceImpl,
} from '@connectrpc/connect';
import type { Compression, UniversalHandler, UniversalServerRequest } from '@connectrpc/connect/protocol';
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from '@connectrpc/connect-node';
import { FileService } from '../../../gen/files/v1/file_service_pb.ts';
import { file_google_rpc_error_details } from '../../../gen/google/rpc/error_details_pb.ts';
import { ServerReflection as ServerReflectionV1 } from '../../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionV1Alpha } from '../../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { Health as HealthService } from '../../../gen/health/v1/health_pb.ts';
import type { SharedCapacity } from '../../overload/shared-capacity.ts';
import { ADMITTED_CALL } from '../admitted-call.ts';
import type { CallGate } from '../call-gate.ts';
import { COMPRESS_MIN_BYTES } from '../compress.ts';
import { methodUnknown, openStreamsTooMany, toConnectError } from '../errors.ts';
import type { Health } from '../health.ts';
import type { ConnectionLimit } from '../limits/connection-limit.ts';
import { OPEN_STREAMS_PER_CONNECTION_MAX } from '../limits/limits.ts';
import { MESSAGE_MAX_BYTES, messageMaxBytes, STREAM_REQUEST_MAX_BYTES } from '../limits/message-limits.ts';
import { limitPerConnection } from '../limits/open-per-connection.ts';
import { createReflection } from '../reflection.ts';
import { takeTimeout } from '../timeout-headers.ts';
import { completeError } from './complete-error.ts';
import { type CompressedCall, requestCompressions } from './compression.ts';
import { encodeText, nameAsPlain } from './grpc-web-text.ts';
import { protocolOf } from './protocol.ts';
import { refuseCall } from './refusal.ts';
import { isCompressed, streamBody, wholeBody } from './request-body.ts';

export interface ConnectHandlerOptions {
  fileService: ServiceImpl<typeof FileService>;
  gate: CallGate;
  health: Health;
  connections: ConnectionLimit;
  budget: SharedCapacity;
}

export type ConnectHandler = ReturnType<typeof createConnectHandler>;

/**
 * Creates the handler for calls by Connect, gRPC-Web and gRPC, over HTTP/1.1 and HTTP/2.
 *
 * The adapter of connect-node decodes gRPC messages as they arrive. This handler reads a whole request before
 * it inflates any of it.
 */
export function createConnectHandler(options: ConnectHandlerOptions) {
  const { fileService, gate, health, connections, budget } = options;
  const compressedCalls = new AsyncLocalStorage<CompressedCall>();
  const handlers = createHandlers(
    fileService,
    health,
    requestCompressions(() => compressedCalls.getStore()),
  );
  const mayOpenStream = limitPerConnection(OPEN_STREAMS_PER_CONNECTION_MAX);

  /**
   * Answers a call, and calls `onAdmitted` when the gate has admitted it. Returns `false` and does nothing if the
   * request is not a call. Throws if path and authority do not form a URL.
   */
  return (request: IncomingMessage, response: ServerResponse, onAdmitted: () => void): boolean => {
    const handler = handlers.get((request.url ?? '').split('?', 1)[0] ?? '');
    const protocol = protocolOf(request.headers['content-type']);
    if (handler === undefined) {
      if (request.method !== 'POST' || protocol === undefined) return false;
      refuseCall(request.headers, response, methodUnknown());
      return true;
    }
    const { method } = handler;
    if (request.method !== 'POST') {
      response.writeHead(405, { allow: 'POST' }).end();
      return true;
    }
    const values = createContextValues();
    const timeoutMs = takeTimeout(request.headers);
    try {
      // Refusals happen here, before connect-node. One refusal by connect-node takes up to 0.9 ms, and a
      // single packet may open 1,000 streams.
      const socket = socketOf(request);
      if (method.parent === FileService) {
        const caller = { headers: request.headers, connection: socket };
        const connection = socket && connections.of(socket);
        const call = gate.admit({ method: method.name, caller, timeoutMs, connection, stream: response });
        values.set(ADMITTED_CALL, call);
        onAdmitted();
      } else if (method.methodKind !== 'unary' && socket !== undefined && !mayOpenStream(socket, response)) {
        throw openStreamsTooMany();
      }
    } catch (error) {
      refuseCall(request.headers, response, toConnectError(error));
      return true;
    }
    const universal = universalRequestFromNodeRequest(request, response, undefined, values);
    const userId = values.get(ADMITTED_CALL)?.userId;
    const { encoding = 'binary' } = protocol ?? {};
    if (method.methodKind !== 'unary') {
      universal.body = streamBody(universal.body as AsyncIterable<Uint8Array>, STREAM_REQUEST_MAX_BYTES);
    } else if (protocol !== undefined) {
      universal.body = wholeBody(request, method, protocol, { budget, userId });
    }
    const serve = () => serveCall(handler, universal, request, response);
    if (isCompressed(request)) void compressedCalls.run({ userId, encoding }, serve);
    else void serve();
    return true;
  };
}

/** Hands a call to connect-node, and writes its answer. */
async function serveCall(
  handler: UniversalHandler,
  universal: UniversalServerRequest,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const isText = protocolOf(request.headers['content-type'])?.name === 'grpc-web-text';
  if (isText) nameAsPlain(universal);
  try {
    const answer = await completeError(await handler(universal), handler.method);
    if (answer instanceof ConnectError) refuseCall(request.headers, response, answer);
    else await universalResponseToNodeResponse(isText ? encodeText(answer) : answer, response);
  } catch {
    // The response cannot be written, because the client has disconnected.
    response.destroy();
  }
}

/** connect-node's handlers of all methods, by their path. */
function createHandlers(
  fileService: ServiceImpl<typeof FileService>,
  health: Health,
  acceptCompression: Compression[],
) {
  const router = createConnectRouter({
    acceptCompression,
    // Every error is smaller than this, so errors are never compressed, and `complete-error.ts` can read them.
    compressMinBytes: COMPRESS_MIN_BYTES,
    binaryOptions: { readUnknownFields: false },
    // JSON names the type of an error detail, which only a registry can find.
    jsonOptions: { registry: createRegistry(file_google_rpc_error_details) },
    readMaxBytes: MESSAGE_MAX_BYTES,
  });
  for (const method of FileService.methods) {
    const run = fileService[method.localName as keyof typeof fileService];
    router.rpc(method, run as never, { readMaxBytes: messageMaxBytes(method, 'json') });
  }
  const reflection = createReflection([FileService, HealthService]);
  // Compression is off for streams, because connect-node would inflate each message as it arrives, and the
  // stream would keep a decoder for this.
  const uncompressed = { acceptCompression: [] };
  const { check, list, watch } = HealthService.method;
  router.rpc(check, health.overHttp.check);
  router.rpc(list, health.overHttp.list);
  router.rpc(watch, health.overHttp.watch, uncompressed);
  router.service(ServerReflectionV1, reflection.v1, uncompressed);
  router.service(ServerReflectionV1Alpha, reflection.v1alpha, uncompressed);
  return new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
}

/** The socket of a request. Over HTTP/2 all calls of a connection share a socket. */
function socketOf(request: IncomingMessage | Http2ServerRequest): Socket | undefined {
  return 'stream' in request ? (request.stream.session?.socket as Socket | undefined) : request.socket;
}
