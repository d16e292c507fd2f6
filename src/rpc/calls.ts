import type { DescMethodUnary, DescService, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import { status } from '@grpc/grpc-js';
import { type Deadline, DeadlineSpent } from '../files/deadline.ts';
import { FileError } from '../files/file-error.ts';
import { type Caller, callerOf } from './caller.ts';
import { toConnectError } from './errors.ts';

/** What a method knows of the call that it answers. */
export interface Call {
  userId: string;
  deadline: Deadline;
}

/** A service's methods, without anything that all of them have in common. */
export type Methods<Service extends DescService> = {
  [Name in keyof Service['method']]: Service['method'][Name] extends DescMethodUnary<infer In, infer Out>
    ? (request: MessageShape<In>, call: Call) => Promise<MessageInitShape<Out>>
    : never;
};

/** How one call ended. */
export interface CallOutcome {
  method: string;
  /** As gRPC spells it: `OK`, `NOT_FOUND`… */
  code: string;
  /** Empty for success, and for what has none. */
  reason: string;
  seconds: number;
  userId: string | undefined;
  /** The fault behind an error that is not the caller's. Never sent. */
  fault: unknown;
}

export interface CallPolicy {
  /** @throws FileError UNAUTHENTICATED */
  identify: (caller: Caller) => string;
  /** Takes a place for a call's work, and gives the way to leave it. @throws FileError OVERLOADED */
  admit: (userId: string) => () => void;
  /** Wraps a call, so that what it does is traced as part of it. */
  trace: <Result>(method: string, caller: Caller, run: () => Promise<Result>) => Promise<Result>;
  onEnd: (outcome: CallOutcome) => void;
  /** For a call that names none. */
  defaultTimeoutMs: number;
  /** A caller may ask for more; it is clamped, not refused. */
  maxTimeoutMs: number;
}

type Run = (request: never, call: Call) => Promise<never>;

/**
 * The implementation that both wires serve. Identity, deadline, errors, traces
 * and the record of each call are here once, so the wires cannot differ in them.
 */
export function implement<Service extends DescService>(
  service: Service,
  policy: CallPolicy,
  methods: Methods<Service>,
): ServiceImpl<Service> {
  const implementation: Record<string, unknown> = {};
  for (const { localName, name } of service.methods) {
    const run = methods[localName as keyof typeof methods] as unknown as Run;
    implementation[localName] = (request: never, context: HandlerContext) =>
      answer(name, run, request, context, policy);
  }
  return implementation as ServiceImpl<Service>;
}

async function answer(
  method: string,
  run: Run,
  request: never,
  context: HandlerContext,
  policy: CallPolicy,
): Promise<never> {
  const startMs = performance.now();
  let userId: string | undefined;
  try {
    const caller = callerOf(context);
    const user = policy.identify(caller);
    userId = user;
    const timeoutMs = Math.min(context.timeoutMs() ?? policy.defaultTimeoutMs, policy.maxTimeoutMs);
    // A call whose time is spent does nothing at all.
    if (timeoutMs <= 0) throw new DeadlineSpent('the deadline has passed');
    const leave = policy.admit(user);
    const call = { userId, deadline: Math.floor(Date.now() + timeoutMs - wayBackMs(timeoutMs)) };
    const work = () => run(request, call);
    const response = await policy.trace(method, caller, () => within(timeoutMs, work, leave));
    policy.onEnd(outcome('OK'));
    return response;
  } catch (error) {
    const connectError = toConnectError(error);
    policy.onEnd(outcome(status[connectError.code] ?? 'UNKNOWN', error));
    throw connectError;
  }

  function outcome(code: string, fault?: unknown): CallOutcome {
    const reason = fault instanceof FileError ? fault.reason : '';
    return { method, code, reason, seconds: (performance.now() - startMs) / 1_000, userId, fault };
  }
}

const WAY_BACK_SHARE = 0.1;
const WAY_BACK_MAX_MS = 300;

/**
 * What is kept of a call's time for the answer: where Postgres or S3 hangs, the
 * caller hears who it is and when to retry, and does not run into its own deadline.
 */
function wayBackMs(timeoutMs: number): number {
  return Math.min(timeoutMs * WAY_BACK_SHARE, WAY_BACK_MAX_MS);
}

/**
 * The caller gets its answer in time. What has been begun goes on by itself and
 * comes to a state that others can finish; its place is free when it has ended.
 */
function within<Result>(timeoutMs: number, work: () => Promise<Result>, leave: () => void): Promise<Result> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new DeadlineSpent('the deadline has passed')), timeoutMs);
    const end = () => {
      clearTimeout(timer);
      leave();
    };
    work().then(
      (result) => {
        end();
        resolve(result);
      },
      (error: unknown) => {
        end();
        reject(error);
      },
    );
  });
}
