import { AsyncLocalStorage } from 'node:async_hooks';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createRegistry } from '@bufbuild/protobuf';
import {
  ConnectError,
  type ContextValues,
  createConnectRouter,
  createContextValues,
  type ServiceImpl,
} from '@connectrpc/connect';
import { type Compression, createAsyncIterable, type UniversalHandler } from '@connectrpc/connect/protocol';
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from '@connectrpc/connect-node';
import { FileService } from '../../../gen/files/v1/file_service_pb.ts';
import { file_google_rpc_error_details } from '../../../gen/google/rpc/error_details_pb.ts';
import { ServerReflection as ServerReflectionV1 } from '../../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionV1Alpha } from '../../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { Health as HealthService } from '../../../gen/health/v1/health_pb.ts';
import type { SharedCapacity } from '../../overload/shared-capacity.ts';
import { ADMITTED_CALL, type AdmittedCall } from '../admitted-call.ts';
import { authorityOf } from '../caller.ts';
import { COMPRESS_MIN_BYTES } from '../compress.ts';
import { methodUnknown, toConnectError } from '../errors.ts';
import type { Health } from '../health.ts';
import type { TakeDecodeTurn } from '../limits/decode-turns.ts';
import { MESSAGE_MAX_BYTES, messageMaxBytes } from '../limits/message-limits.ts';
import { createReflection } from '../reflection.ts';
import { type AdmitOptions, createAdmit } from './admit.ts';
import { completeError } from './complete-error.ts';
import { type CompressedCall, requestCompressions, withoutWeights } from './compression.ts';
import { encodeText, nameAsPlain } from './grpc-web-text.ts';
import { answerHealth, isHealth } from './health-answer.ts';
import { protocolOf } from './protocol.ts';
import { refuseCall, refuseForHeaders } from './refusal.ts';
import { isCompressed, readBody, streamBody } from './request-body.ts';

interface ConnectHandlerOptions extends AdmitOptions {
  fileService: ServiceImpl<typeof FileService>;
  budget: SharedCapacity;
  takeDecodeTurn: TakeDecodeTurn;
}

export type ConnectHandler = ReturnType<typeof createConnectHandler>;

/**
 * Creates the handler for calls by Connect, gRPC-Web and gRPC, over HTTP/1.1 and HTTP/2.
 *
 * connect-node has such a handler, too. But it makes many objects for a call as soon as the headers have arrived, and
 * unfinished calls would keep these objects in memory. So this handler reads the whole request of a unary call before
 * connect-node gets the call (`../limits/whole-request.ts`).
 */
export function createConnectHandler(options: ConnectHandlerOptions) {
  const { fileService, health, budget, takeDecodeTurn } = options;
  const compressedCalls = new AsyncLocalStorage<CompressedCall>();
  const compressions = requestCompressions(() => compressedCalls.getStore());
  const handlers = createHandlers(fileService, health, compressions);
  const admit = createAdmit(options);

  /**
   * Answers a call, and calls `onAdmitted` when the call gate (`../call-gate.ts`) has admitted it. Returns `false` and
   * does nothing if the request is not a call. Throws if path and authority do not form a URL.
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
    if (refuseForHeaders(handler, request, response)) return true;
    checkUrl(request);
    const onError = (error: unknown) => refuseCall(request.headers, response, toConnectError(error));
    let call: AdmittedCall | undefined;
    try {
      call = admit(method, request, response);
    } catch (error) {
      onError(error);
      return true;
    }
    if (call !== undefined) onAdmitted();
    const values = createContextValues().set(ADMITTED_CALL, call);
    const serve = (body: AsyncIterable<Uint8Array>) =>
      void serveCall(handler, { request, response, values, body });
    if (method.methodKind !== 'unary' || protocol === undefined) {
      serve(streamBody(request));
      return true;
    }
    const { encoding } = protocol;
    const userId = call?.userId;
    const serveWhole = (body: Buffer) => {
      if (!isHealth(method)) serve(createAsyncIterable([body]));
      else answerHealth(health, { method, request, response, protocol, body, compressions });
    };
    const onBody = (body: Buffer) => {
      if (isCompressed(body, request, protocol)) {
        compressedCalls.run({ userId, encoding }, serveWhole, body);
      } else {
        takeDecodeTurn({ userId, bytes: body.length }, () => serveWhole(body), onError);
      }
    };
    readBody(request, response, method, protocol, { budget, userId, onBody, onError });
    return true;
  };
}

/** @throws TypeError if path and authority do not form a URL: connect-node would throw after the body has arrived */
function checkUrl({ url = '', headers }: IncomingMessage): void {
  const authority = authorityOf(headers);
  if (authority === undefined) throw new TypeError('the request has no authority');
  new URL(url, `http://${authority}`);
}

interface ReadCall {
  request: IncomingMessage;
  response: ServerResponse;
  values: ContextValues;
  body: AsyncIterable<Uint8Array>;
}

/** Hands a call to connect-node, and writes its answer. */
async function serveCall(
  handler: UniversalHandler,
  { request, response, values, body }: ReadCall,
): Promise<void> {
  const isText = protocolOf(request.headers['content-type'])?.name === 'grpc-web-text';
  try {
    const universal = universalRequestFromNodeRequest(request, response, undefined, values);
    universal.body = body;
    if (isText) nameAsPlain(universal);
    withoutWeights(universal);
    const answer = await completeError(await handler(universal), handler.method);
    if (answer instanceof ConnectError) refuseCall(request.headers, response, answer);
    else await universalResponseToNodeResponse(isText ? encodeText(answer) : answer, response);
  } catch {
    // The client has disconnected, so the response cannot be written.
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
    // In JSON, an error detail names its message type. The registry is needed to find the message type by its name.
    jsonOptions: { registry: createRegistry(file_google_rpc_error_details) },
    readMaxBytes: MESSAGE_MAX_BYTES,
  });
  for (const method of FileService.methods) {
    const run = fileService[method.localName as keyof typeof fileService];
    router.rpc(method, run as never, { readMaxBytes: messageMaxBytes(method, 'json') });
  }
  const reflection = createReflection([FileService, HealthService]);
  // Streams have no compression. connect-node would inflate each message of a stream as it arrives, and each message
  // would occupy one of the few decoders (`../limits/decoders.ts`).
  const uncompressed = { acceptCompression: [] };
  const { check, list, watch } = HealthService.method;
  router.rpc(check, health.overHttp.check);
  router.rpc(list, health.overHttp.list);
  router.rpc(watch, health.overHttp.watch, uncompressed);
  router.service(ServerReflectionV1, reflection.v1, uncompressed);
  router.service(ServerReflectionV1Alpha, reflection.v1alpha, uncompressed);
  return new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
}
