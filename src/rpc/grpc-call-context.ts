import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { type ContextValues, createContextValues, type HandlerContext } from '@connectrpc/connect';
import type { Metadata } from '@grpc/grpc-js';
import type { Caller } from './caller.ts';
import { timeLeft } from './timeout-headers.ts';

/** The part that grpc-js's calls of all four kinds have, and that is read here. */
export interface GrpcCall {
  readonly cancelled: boolean;
  readonly metadata: Metadata;
  getPath(): string;
  on(event: 'cancelled', listener: () => void): unknown;
}

/**
 * What an implementation may ask of its call. Most ask for a header and the
 * deadline alone, so everything else is made when it is first asked for.
 */
export class GrpcCallContext implements HandlerContext, Caller {
  readonly protocolName = 'grpc';
  readonly requestMethod = 'POST';
  readonly method: DescMethod;
  readonly #call: GrpcCall;
  #requestHeader: Headers | undefined;
  #responseHeader: Headers | undefined;
  #responseTrailer: Headers | undefined;
  #values: ContextValues | undefined;
  #signal: AbortSignal | undefined;

  constructor(method: DescMethod, call: GrpcCall) {
    this.method = method;
    this.#call = call;
  }

  header(name: string): string | undefined {
    const values = this.#call.metadata.get(name);
    return values.length === 0 ? undefined : values.join(', ');
  }

  headerNames(): Iterable<string> {
    return Object.keys(this.#call.metadata.getMap());
  }

  /**
   * In public, grpc-js tells of a connection by `getAuthContext` alone, which makes
   * an object of the whole certificate for each call. Where its inside changes, no
   * caller is trusted, and test/process/mtls.test.ts fails.
   */
  get connection(): object | undefined {
    const inside = this.#call as { call?: { stream?: { session?: { socket?: object } } } };
    return inside.call?.stream?.session?.socket;
  }

  timeoutMs(): number | undefined {
    return timeLeft(this.#call.metadata);
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
