import type { DescMethodUnary, DescService, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { Call } from '../files/call.ts';
import { DeadlineExceededError } from '../files/deadline.ts';
import { type AdmittedCall, admittedCallOf } from './admitted-call.ts';
import { type CallOutcome, outcomeOf } from './call-gate.ts';
import type { Caller } from './caller.ts';
import { toConnectError } from './errors.ts';

/**
 * The implementation of each method of a service, without the work that is common to all methods. `withCallPolicy`
 * adds this work.
 */
type Methods<Service extends DescService> = {
  [Name in keyof Service['method']]: Service['method'][Name] extends DescMethodUnary<infer In, infer Out>
    ? (request: MessageShape<In>, call: Call) => Promise<MessageInitShape<Out>>
    : never;
};

export interface CallPolicy {
  /** Runs a call inside a span, so that spans of its steps become children of this span. */
  trace: <Result>(method: string, caller: Caller, run: () => Promise<Result>) => Promise<Result>;
  /** Records the end of a call. */
  onEnd: (outcome: CallOutcome) => void;
}

type Run = (request: never, call: Call) => Promise<never>;

/**
 * Makes the implementation that both servers (`grpc/`, `http/`) serve behind the call gate (`call-gate.ts`).
 * Weights, deadlines, error mapping, traces and the record of each call are handled only here, so that
 * gRPC, Connect and gRPC-Web cannot differ.
 */
export function withCallPolicy<Service extends DescService>(
  service: Service,
  policy: CallPolicy,
  weights: { [Name in keyof Service['method']]: (request: never) => number },
  methods: Methods<Service>,
): ServiceImpl<Service> {
  const implementation: Record<string, unknown> = {};
  for (const { localName, name: method } of service.methods) {
    const run = methods[localName as keyof typeof methods] as unknown as Run;
    const weigh = weights[localName as keyof typeof weights];
    implementation[localName] = async (request: never, context: HandlerContext) => {
      const admitted = admittedCallOf(context);
      const { userId, startMs, caller } = admitted;
      try {
        const timeoutMs = admitted.timeLeftMs();
        const deadline = Math.floor(Date.now() + timeoutMs - responseReserveMs(timeoutMs));
        const call = { userId, deadline, isAbandoned: () => admitted.isClosed };
        admitted.begin(weigh(request));
        const work = () => run(request, call);
        const response = await policy.trace(method, caller, () => withTimeout(timeoutMs, work, admitted));
        policy.onEnd(outcomeOf(method, startMs, userId, 0));
        return response;
      } catch (error) {
        const connectError = toConnectError(error);
        policy.onEnd(outcomeOf(method, startMs, userId, connectError.code, error));
        throw connectError;
      }
    };
  }
  return implementation as ServiceImpl<Service>;
}

const RESPONSE_RESERVE_SHARE = 0.1;
const RESPONSE_RESERVE_MAX_MS = 300;

/**
 * The time of a call that is reserved for its response. If Postgres or S3 hangs, the client then gets UNAVAILABLE
 * with a RetryInfo instead of its own DEADLINE_EXCEEDED.
 */
function responseReserveMs(timeoutMs: number): number {
  return Math.min(timeoutMs * RESPONSE_RESERVE_SHARE, RESPONSE_RESERVE_MAX_MS);
}

/**
 * Rejects when the time is up, so that the caller gets its response in time. The step of the work that has begun is not
 * cancelled. It continues to a state that a retry or the sweeper (a background task, `src/files/maintenance/sweeper.ts`)
 * can finish. Work on many files begins no further file (`src/files/in-workers.ts`). When the work ends, the call returns
 * its share of the service's capacity (`admitted.end`).
 */
async function withTimeout<Result>(
  timeoutMs: number,
  work: () => Promise<Result>,
  admitted: AdmittedCall,
): Promise<Result> {
  const { promise: timeUp, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new DeadlineExceededError('the deadline has passed')), timeoutMs);
  const done = work().finally(() => {
    clearTimeout(timer);
    admitted.end();
  });
  return Promise.race([done, timeUp]);
}
