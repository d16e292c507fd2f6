import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { type ContextValues, createContextValues, type HandlerContext } from '@connectrpc/connect';
import type { Metadata } from '@grpc/grpc-js';
import type { AdmittedCall } from '../admitted-call.ts';
import { admittedCallOn } from './gate.ts';
import { streamOf } from './private-fields.ts';

/** The members that this file reads. Calls of all four kinds of grpc-js have these members. */
export interface GrpcCall {
  readonly cancelled: boolean;
  readonly metadata: Metadata;
  getPath(): string;
  on(event: 'cancelled', listener: () => void): unknown;
}

/**
 * The context that an implementation receives with its request. Most implementations read only the admitted
 * call, so all other values are created at their first use.
 */
export class GrpcCallContext implements HandlerContext {
  readonly protocolName = 'grpc';
  readonly requestMethod = 'POST';
  readonly method: DescMethod;
  readonly admittedCall: AdmittedCall | undefined;
  readonly #call: GrpcCall;
  #requestHeader: Headers | undefined;
  #responseHeader: Headers | undefined;
  #responseTrailer: Headers | undefined;
  #values: ContextValues | undefined;
  #signal: AbortSignal | undefined;

  constructor(method: DescMethod, call: GrpcCall) {
    this.method = method;
    this.#call = call;
    this.admittedCall = admittedCallOn(streamOf(call));
  }

  timeoutMs(): number | undefined {
    return this.admittedCall?.timeLeftMs();
  }

  get service(): DescService {
    return this.method.parent;
  }

  get url(): string {
    return this.#call.getPath();
  }

  get requestHeader(): Headers {
    this.#requestHeader ??= toHeaders(this.#call.metadata);
    return this.#requestHeader;
  }

  // No implementation here sends metadata, so the two response headers are never sent. `HandlerContext`
  // requires them.
  get responseHeader(): Headers {
    this.#responseHeader ??= new Headers();
    return this.#responseHeader;
  }

  get responseTrailer(): Headers {
    this.#responseTrailer ??= new Headers();
    return this.#responseTrailer;
  }

  get values(): ContextValues {
    this.#values ??= createContextValues();
    return this.#values;
  }

  get signal(): AbortSignal {
    this.#signal ??= cancellation(this.#call);
    return this.#signal;
  }
}

function toHeaders(metadata: Metadata): Headers {
  const headers = new Headers();
  for (const [key, values] of Object.entries(metadata.toJSON())) {
    // This service reads no binary metadata.
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
