import type { Code } from '@connectrpc/connect';
import { status } from '@grpc/grpc-js';
import { timeLeft } from '../files/deadline.ts';
import { FileError } from '../files/file-error.ts';
import type { Admission } from '../overload/admission.ts';
import { AdmittedCall } from './admitted-call.ts';
import type { Caller } from './caller.ts';
import { invalidRequest, toConnectError } from './errors.ts';
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
   * The error that caused a failure. It is logged if the service itself failed. It is never sent to the client.
   */
  error: unknown;
}

interface CallGateOptions {
  /** Returns the id of the user. @throws FileError of code UNAUTHENTICATED */
  identify: (caller: Caller) => string;
  admission: Admission;
  /** Records a call that the gate refused. */
  onEnd: (outcome: CallOutcome) => void;
  /** The time-out of a call without a deadline. */
  defaultTimeoutMs: number;
  /** The longest time-out. A call with a longer time-out is not refused: its time-out is shortened. */
  maxTimeoutMs: number;
}

interface IncomingCall {
  method: string;
  caller: Caller;
  /** The caller's time-out; `undefined` without a deadline, NaN for a malformed time-out. */
  timeoutMs: number | undefined;
  /** `undefined` when the connection has closed already. */
  connection: Connection | undefined;
  /** The HTTP/2 stream or the HTTP response. It closes when the response was written or the client is gone. */
  stream: { once(event: 'close', listener: () => void): unknown };
}

export type CallGate = ReturnType<typeof createCallGate>;

/**
 * Decides from a request's headers alone whether the call is served: the gateway (the trusted caller that names the
 * user) must prove its identity, the headers must name a user, and admission must have capacity. Both servers
 * (`grpc/`, `http/`) ask the gate before they read, inflate or decode a byte of the body, so that a caller that is
 * not a gateway costs only the work of reading its headers.
 */
export function createCallGate(options: CallGateOptions) {
  const { identify, admission, onEnd, defaultTimeoutMs, maxTimeoutMs } = options;
  return {
    /**
     * Admits or refuses a call. The connection counts an admitted call until the stream of the call has closed. The
     * connection counts as identified when the gateway and the user are accepted, even if the call is then refused for
     * lack of capacity.
     *
     * @throws ConnectError UNAUTHENTICATED, INVALID_ARGUMENT, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED. The
     *   refused call has been recorded with `onEnd`.
     */
    admit(incoming: IncomingCall): AdmittedCall {
      const { method, caller, timeoutMs = defaultTimeoutMs, connection, stream } = incoming;
      const startMs = performance.now();
      let userId: string | undefined;
      try {
        userId = identify(caller);
        connection?.identified();
        if (Number.isNaN(timeoutMs)) throw invalidRequest('the time-out in the headers is malformed');
        const deadline = Date.now() + Math.min(timeoutMs, maxTimeoutMs);
        // A call whose deadline has passed must not cause any work.
        timeLeft(deadline);
        const call = new AdmittedCall(caller, userId, startMs, deadline, admission.admit(userId));
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
