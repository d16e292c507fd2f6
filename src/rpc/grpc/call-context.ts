import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { type ContextValues, createContextValues, type HandlerContext } from '@connectrpc/connect';
import type { Metadata } from '@grpc/grpc-js';
import type { AdmittedCall } from '../call-gate.ts';
import { admittedCallOn } from './gate.ts';
import { streamOf } from './private-fields.ts';

/** The part that grpc-js's calls of all four kinds have, and that is read here. */
export interface GrpcCall {
  readonly cancelled: boolean;
  readonly metadata: Metadata;
  getPath(): string;
  on(event: 'cancelled', listener: () => void): unknown;
}

/**
 * What an implementation may ask of its call. Most ask for the admitted call
 * alone, so everything else is made when it is first asked for.
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

  // No implementation here sends metadata of its own, so nobody reads these two.
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
