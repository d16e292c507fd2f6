import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema, RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { PutError } from './put.ts';

/** Runs it until it succeeds, fails for good, or has failed for too long; then throws its last error. */
export type Retry = <Result>(signal: AbortSignal, run: () => Promise<Result>) => Promise<Result>;

const TRIES_MIN = 3;

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 10_000;

/** A URL may expire before it is used, and bytes may be garbled on the way; but not twice in a row. */
const REFUSED_TRIES = 2;

/** @param forMs counted from the first failure; what takes long by itself is tried TRIES_MIN times all the same */
export function createRetry(forMs: number): Retry {
  return async (signal, run) => {
    let firstFailureMs: number | undefined;
    for (let tries = 1; ; tries++) {
      try {
        signal.throwIfAborted();
        return await run();
      } catch (error) {
        signal.throwIfAborted();
        firstFailureMs ??= performance.now();
        const pauseMs = pauseBeforeRetry(error, tries);
        if (pauseMs === undefined) throw error;
        if (tries >= TRIES_MIN && performance.now() - firstFailureMs + pauseMs > forMs) throw error;
        await sleep(pauseMs, undefined, { signal });
      }
    }
  };
}

/** Undefined: it will be the same the next time. */
function pauseBeforeRetry(error: unknown, tries: number): number | undefined {
  const askedMs = error instanceof PutError ? afterPut(error, tries) : afterCall(error);
  if (askedMs === undefined) return undefined;
  // Spread over the whole pause, so that those who failed together do not come back together.
  return askedMs + Math.random() * Math.min(FIRST_PAUSE_MS * 2 ** (tries - 1), LONGEST_PAUSE_MS);
}

/** How long at least to wait. */
function afterPut({ status, code }: PutError, tries: number): number | undefined {
  if (status === undefined || status >= 500 || status === 408 || status === 429) return 0;
  // So Amazon says 400 where others say 408.
  if (code === 'RequestTimeout') return 0;
  return (status === 403 || code === 'BadDigest') && tries < REFUSED_TRIES ? 0 : undefined;
}

function afterCall(error: unknown): number | undefined {
  if (!(error instanceof ConnectError) || !RETRIED.has(error.code)) return undefined;
  const [retryInfo] = error.findDetails(RetryInfoSchema);
  if (retryInfo?.retryDelay !== undefined) {
    return Number(retryInfo.retryDelay.seconds) * 1_000 + retryInfo.retryDelay.nanos / 1_000_000;
  }
  // The service says when, where a retry helps; who sits between may not.
  const isOfTheService = error.findDetails(ErrorInfoSchema).length > 0;
  return isOfTheService ? undefined : 0;
}

/**
 * What the contract names, and two codes that the service never sends by itself: with them Connect names a connection
 * that broke. Every method is safe to repeat.
 */
const RETRIED = new Set([
  Code.Unavailable,
  Code.ResourceExhausted,
  Code.DeadlineExceeded,
  Code.Aborted,
  Code.Canceled,
]);
