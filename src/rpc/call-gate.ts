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

/** How one call ended. */
export interface CallOutcome {
  method: string;
  /** As gRPC spells it: `OK`, `NOT_FOUND`… */
  code: string;
  /** Empty for success, and for errors without a reason. */
  reason: string;
  seconds: number;
  userId: string | undefined;
  /** The error behind a failure. It is logged when it is the service's own, and never sent. */
  error: unknown;
}

export interface CallGateOptions {
  /** @throws FileError UNAUTHENTICATED */
  identify: (caller: Caller) => string;
  admission: Admission;
  /** Records a call that the gate refused. */
  onEnd: (outcome: CallOutcome) => void;
  /** For a call without a deadline. */
  defaultTimeoutMs: number;
  /** A longer deadline is shortened to this, not refused. */
  maxTimeoutMs: number;
}

/**
 * Decides from a request's headers alone whether it is served: who sends it, whether the gateway has proved itself,
 * and whether there is room. Both protocols ask the gate before they read, inflate or decode a byte of the body, so
 * that a caller without proof costs no more than its headers.
 */
export interface CallGate {
  /**
   * @param timeoutMs what the caller gives the call; `undefined` without a deadline, NaN for one that cannot be read
   * @param connection is told when the proof and the user were accepted, also when there is no room
   * @throws ConnectError UNAUTHENTICATED, INVALID_ARGUMENT, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED; it is recorded
   */
  admit(
    method: string,
    caller: Caller,
    timeoutMs: number | undefined,
    connection: { identified(): void } | undefined,
  ): AdmittedCall;
}

export function createCallGate(options: CallGateOptions): CallGate {
  const { identify, admission, onEnd, defaultTimeoutMs, maxTimeoutMs } = options;
  return {
    admit(method, caller, timeoutMs = defaultTimeoutMs, connection) {
      const startMs = performance.now();
      let userId: string | undefined;
      try {
        userId = identify(caller);
        connection?.identified();
        if (Number.isNaN(timeoutMs)) throw new ConnectError('malformed timeout', Code.InvalidArgument);
        const allowedMs = Math.min(timeoutMs, maxTimeoutMs);
        // A call whose time is spent does nothing at all.
        if (allowedMs <= 0) throw deadlineExceeded();
        return new AdmittedCall(caller, userId, startMs, Date.now() + allowedMs, admission.admit(userId));
      } catch (error) {
        const connectError = toConnectError(error);
        onEnd(outcomeOf(method, startMs, userId, connectError.code, error));
        throw connectError;
      }
    },
  };
}

/**
 * A call that the gate has admitted. It holds its place until its work has ended and its answer has been written:
 * answers that a user's gateway does not read count against that user, and not against others on its connection.
 */
export class AdmittedCall {
  readonly caller: Caller;
  readonly userId: string;
  /** When its headers had arrived, by `performance.now()`. */
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

  /** Until the client's deadline, in ms. @throws DeadlineExceededError */
  timeLeftMs(): number {
    const leftMs = this.#endMs - Date.now();
    if (leftMs <= 0) throw deadlineExceeded();
    return leftMs;
  }

  /**
   * The request is here and decoded; its work begins.
   *
   * @throws ConnectError CANCELED when the client is gone: nothing is done for it
   * @throws FileError OVERLOADED when there is no room for what it asks
   */
  begin(weight: number): void {
    if (this.#isClosed) throw new ConnectError('the client has gone', Code.Canceled);
    this.#place.grow(weight);
    this.#isWorking = true;
  }

  /** Its work has ended, which may be after the answer: work goes on when a deadline has passed. */
  end(): void {
    this.#isWorking = false;
    if (this.#isClosed) this.#place.release();
  }

  /** Its stream has closed: the answer was written, or the client is gone. To be called once. */
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

/** Where Connect's own contexts carry the admitted call. */
export const ADMITTED_CALL: ContextKey<AdmittedCall | undefined> = createContextKey<AdmittedCall | undefined>(
  undefined,
);

/** @throws Error for a call that passed no gate, which no server here lets happen */
export function admittedCallOf(context: HandlerContext): AdmittedCall {
  // gRPC's contexts make no `values` for it: that would cost as much as all else that is read of a call.
  const call =
    'admittedCall' in context ? (context.admittedCall as AdmittedCall) : context.values.get(ADMITTED_CALL);
  if (call === undefined) throw new Error('a call reached its handler without passing the gate');
  return call;
}
