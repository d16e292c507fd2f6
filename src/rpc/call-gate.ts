import {
  Code,
  ConnectError,
  type ContextKey,
  createContextKey,
  type HandlerContext,
} from '@connectrpc/connect';
import { status } from '@grpc/grpc-js';
import { DeadlineExceededError } from '../files/deadline.ts';
import { FileError } from '../files/file-error.ts';
import type { Admission, Place } from '../overload/admission.ts';
import type { Caller } from './caller.ts';
import { toConnectError } from './errors.ts';
import type { Connection } from './limits/connection-limit.ts';

/** How one call ended. */
export interface CallOutcome {
  method: string;
  /** The name of the gRPC status code: `OK`, `NOT_FOUND`… */
  code: string;
  /** Empty for success, and for errors without a reason. */
  reason: string;
  seconds: number;
  userId: string | undefined;
  /**
   * The error behind a failure. If the failure is the service's own, the error is logged. It is never sent.
   */
  error: unknown;
}

export interface CallGateOptions {
  /** @throws FileError UNAUTHENTICATED */
  identify: (caller: Caller) => string;
  admission: Admission;
  /** Records a call that the gate refused. */
  onEnd: (outcome: CallOutcome) => void;
  /** The time-out of a call without a deadline. */
  defaultTimeoutMs: number;
  /** Longer time-outs are shortened to this, not refused. */
  maxTimeoutMs: number;
}

/**
 * Decides from a request's headers alone whether the call is served: the gateway must prove its identity, the
 * headers must name a user, and admission must have capacity. Both servers (`grpc/`, `http/`) ask the gate
 * before they read, inflate or decode a byte of the body, so that a caller without proof costs no more than
 * its headers.
 */
export interface CallGate {
  /**
   * The call counts on its connection until its stream has closed. The connection counts as identified when
   * the proof and the user are accepted, even if the call is then refused for lack of capacity.
   *
   * @throws ConnectError UNAUTHENTICATED, INVALID_ARGUMENT, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED. The
   *   refused call has been recorded with `onEnd`.
   */
  admit(call: IncomingCall): AdmittedCall;
}

export interface IncomingCall {
  method: string;
  caller: Caller;
  /** The caller's time-out; `undefined` without a deadline, NaN for a malformed time-out. */
  timeoutMs: number | undefined;
  /** `undefined` when the connection has closed already. */
  connection: Connection | undefined;
  /** The HTTP/2 stream or the HTTP response. It closes when the response was written or the client is gone. */
  stream: { once(event: 'close', listener: () => void): unknown };
}

export function createCallGate(options: CallGateOptions): CallGate {
  const { identify, admission, onEnd, defaultTimeoutMs, maxTimeoutMs } = options;
  return {
    admit({ method, caller, timeoutMs = defaultTimeoutMs, connection, stream }) {
      const startMs = performance.now();
      let userId: string | undefined;
      try {
        userId = identify(caller);
        connection?.identified();
        if (Number.isNaN(timeoutMs)) throw new ConnectError('malformed timeout', Code.InvalidArgument);
        const allowedMs = Math.min(timeoutMs, maxTimeoutMs);
        // A call whose deadline has passed must not cause any work.
        if (allowedMs <= 0) throw deadlineExceeded();
        const place = admission.admit(userId);
        const call = new AdmittedCall(caller, userId, startMs, Date.now() + allowedMs, place);
        connection?.callBegins();
        stream.once('close', () => {
          connection?.callEnds();
          call.close();
        });
        return call;
      } catch (error) {
        const connectError = toConnectError(error);
        onEnd(outcomeOf(method, startMs, userId, connectError.code, error));
        throw connectError;
      }
    },
  };
}

/**
 * A call that the gate has admitted. The call holds its place in admission until its work has ended and its
 * response has been written. So responses that a gateway does not read count against their user, and not
 * against other users of the same connection.
 */
export class AdmittedCall {
  readonly caller: Caller;
  readonly userId: string;
  /** The time at which the headers had arrived, by `performance.now()`. */
  readonly startMs: number;
  readonly #endMs: number;
  readonly #place: Place;
  #isWorking = false;
  #isClosed = false;

  constructor(caller: Caller, userId: string, startMs: number, endMs: number, place: Place) {
    this.caller = caller;
    this.userId = userId;
    this.startMs = startMs;
    this.#endMs = endMs;
    this.#place = place;
  }

  /** The time until the client's deadline, in ms. @throws DeadlineExceededError */
  timeLeftMs(): number {
    const leftMs = this.#endMs - Date.now();
    if (leftMs <= 0) throw deadlineExceeded();
    return leftMs;
  }

  /**
   * Must be called when the request is decoded, before the work begins.
   *
   * @param weight the cost of the call (`call-weights.ts`)
   * @throws ConnectError CANCELED when the client has disconnected: the work must not begin
   * @throws FileError OVERLOADED when admission has no capacity for this weight
   */
  begin(weight: number): void {
    if (this.#isClosed) throw new ConnectError('the client has disconnected', Code.Canceled);
    this.#place.grow(weight);
    this.#isWorking = true;
  }

  /**
   * Must be called when the work has ended. Work continues after the deadline, so it may end after the
   * response.
   */
  end(): void {
    this.#isWorking = false;
    if (this.#isClosed) this.#place.release();
  }

  /**
   * Must be called once, when the stream has closed: the response was written, or the client has
   * disconnected.
   */
  close(): void {
    this.#isClosed = true;
    if (!this.#isWorking) this.#place.release();
  }
}

export function outcomeOf(
  method: string,
  startMs: number,
  userId: string | undefined,
  code: Code | 0,
  error?: unknown,
): CallOutcome {
  const reason = error instanceof FileError ? error.reason : '';
  const seconds = (performance.now() - startMs) / 1_000;
  return { method, code: status[code] ?? 'UNKNOWN', reason, seconds, userId, error };
}

function deadlineExceeded(): DeadlineExceededError {
  return new DeadlineExceededError('the deadline has passed');
}

/** The key under which the context values of connect-node carry the admitted call. */
export const ADMITTED_CALL: ContextKey<AdmittedCall | undefined> = createContextKey<AdmittedCall | undefined>(
  undefined,
);

/** @throws Error for a call that did not pass the gate, which neither server allows */
export function admittedCallOf(context: HandlerContext): AdmittedCall {
  // The context of grpc-js calls has a property instead of `values`: creating `values` would cost as much as
  // all other reads of a call together.
  const call =
    'admittedCall' in context ? (context.admittedCall as AdmittedCall) : context.values.get(ADMITTED_CALL);
  if (call === undefined) throw new Error('the call reached its handler without passing the call gate');
  return call;
}
