import { type ContextKey, createContextKey, type HandlerContext } from '@connectrpc/connect';
import { type Deadline, timeLeft } from '../files/deadline.ts';
import type { Permit } from '../overload/admission.ts';
import type { Caller } from './caller.ts';
import { callError } from './errors.ts';

/**
 * A call that the call gate (`call-gate.ts`) has admitted by its headers. The call holds its permit, a share of the
 * capacity, until its work has ended and its response has been written. So a response that the gateway (the trusted
 * caller that names the user) does not read takes capacity from its own user, and not from other users of the same
 * connection.
 */
export class AdmittedCall {
  readonly caller: Caller;
  readonly userId: string;
  /** The time at which the headers had arrived, by `performance.now()`. */
  readonly startMs: number;
  readonly #deadline: Deadline;
  readonly #permit: Permit;
  #isWorking = false;
  #isClosed = false;

  constructor(caller: Caller, userId: string, startMs: number, deadline: Deadline, permit: Permit) {
    this.caller = caller;
    this.userId = userId;
    this.startMs = startMs;
    this.#deadline = deadline;
    this.#permit = permit;
  }

  /** The time until the client's deadline, in ms. @throws DeadlineExceededError */
  timeLeftMs(): number {
    return timeLeft(this.#deadline);
  }

  /** Whether the stream of the call has closed. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * Must be called when the request is decoded, before the work begins.
   *
   * @param weight the cost of the call (`call-weights.ts`)
   * @throws ConnectError CANCELED when the client has disconnected: the work must not begin
   * @throws FileError OVERLOADED when admission has no capacity for this weight
   */
  begin(weight: number): void {
    if (this.#isClosed) throw callError('CANCELLED', 'the client has disconnected');
    this.#permit.grow(weight);
    this.#isWorking = true;
  }

  /**
   * Must be called when the work has ended. This may be after the response, because the work continues when the
   * deadline has passed.
   */
  end(): void {
    this.#isWorking = false;
    if (this.#isClosed) this.#permit.release();
  }

  /**
   * Must be called once, when the stream of the call has closed. It closes when the response has been written, or when
   * the client has disconnected.
   */
  close(): void {
    this.#isClosed = true;
    if (!this.#isWorking) this.#permit.release();
  }
}

/** The key of the admitted call in the context values of a call on connect-node, the library of the HTTP server. */
export const ADMITTED_CALL: ContextKey<AdmittedCall | undefined> = createContextKey<AdmittedCall | undefined>(
  undefined,
);

/**
 * @throws Error for a call that did not pass the call gate. Neither the gRPC server nor the HTTP server lets such a
 *   call reach a handler of the file service.
 */
export function admittedCallOf(context: HandlerContext): AdmittedCall {
  // The context of a call on the gRPC port has the property `admittedCall` instead of `values` (`grpc/unary.ts`).
  const call =
    'admittedCall' in context ? (context.admittedCall as AdmittedCall) : context.values.get(ADMITTED_CALL);
  if (call === undefined) throw new Error('the call reached its handler without passing the call gate');
  return call;
}
