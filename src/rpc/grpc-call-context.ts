import type { DescMethod } from '@bufbuild/protobuf';
import { type ContextValues, createContextValues, type HandlerContext } from '@connectrpc/connect';
import type { Metadata } from '@grpc/grpc-js';
import { CONNECTION } from './peer.ts';
import { timeLeft } from './timeout-headers.ts';

/** The part that grpc-js's calls of all four kinds have, and that is read here. */
export interface GrpcCall {
  readonly cancelled: boolean;
  readonly metadata: Metadata;
  getPath(): string;
  on(event: 'cancelled', listener: () => void): unknown;
}

/**
 * What an implementation may ask of its call. Most ask for the headers and the
 * deadline alone, so everything is made when it is first asked for.
 */
export function grpcCallContext(method: DescMethod, call: GrpcCall): HandlerContext {
  let requestHeader: Headers | undefined;
  let responseHeader: Headers | undefined;
  let responseTrailer: Headers | undefined;
  let values: ContextValues | undefined;
  let signal: AbortSignal | undefined;
  return {
    method,
    service: method.parent,
    protocolName: 'grpc',
    requestMethod: 'POST',
    get url() {
      return call.getPath();
    },
    get requestHeader() {
      requestHeader ??= toHeaders(call.metadata);
      return requestHeader;
    },
    // No implementation here sends metadata of its own, so nobody reads these two.
    get responseHeader() {
      responseHeader ??= new Headers();
      return responseHeader;
    },
    get responseTrailer() {
      responseTrailer ??= new Headers();
      return responseTrailer;
    },
    get values() {
      values ??= createContextValues().set(CONNECTION, connectionOf(call));
      return values;
    },
    get signal() {
      signal ??= cancellation(call);
      return signal;
    },
    timeoutMs: () => timeLeft(call.metadata),
  };
}

/**
 * In public, grpc-js tells of a connection by `getAuthContext` alone, which makes
 * an object of the whole certificate for each call. Where its inside changes, no
 * caller is trusted, and test/process/mtls.test.ts fails.
 */
function connectionOf(call: GrpcCall): object | undefined {
  const inside = call as { call?: { stream?: { session?: { socket?: object } } } };
  return inside.call?.stream?.session?.socket;
}

function toHeaders(metadata: Metadata): Headers {
  const headers = new Headers();
  for (const [key, values] of Object.entries(metadata.toJSON())) {
    // Binary metadata is nothing that this service reads.
    for (const value of values) if (typeof value === 'string') headers.append(key, value);
  }
  return headers;
}

function cancellation(call: GrpcCall): AbortSignal {
  const controller = new AbortController();
  if (call.cancelled) controller.abort();
  call.on('cancelled', () => controller.abort());
  return controller.signal;
}
