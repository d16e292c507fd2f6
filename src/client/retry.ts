/** Decides which failures of a call or of a PUT are worth a retry, and after which pause. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema, RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { PutError } from './put.ts';

/** Runs `run` until it succeeds, fails for good, or has failed for too long. Then throws the last error. */
export type Retry = <Result>(signal: AbortSignal, run: () => Promise<Result>) => Promise<Result>;

const TRIES_MIN = 3;

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 10_000;

/**
 * A URL can expire before its use, and bytes can be damaged on the way. A second refusal in a row has another
 * cause.
 */
const REFUSED_TRIES = 2;

/** @param forMs counted from the first failure. A step that takes longer is still tried TRIES_MIN times. */
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

/** Undefined when a retry would fail in the same way. */
function pauseBeforeRetry(error: unknown, tries: number): number | undefined {
  const askedMs = error instanceof PutError ? afterPut(error, tries) : afterCall(error);
  if (askedMs === undefined) return undefined;
  // Full jitter: clients that failed at the same time do not retry at the same time.
  return askedMs + Math.random() * Math.min(FIRST_PAUSE_MS * 2 ** (tries - 1), LONGEST_PAUSE_MS);
}

/** The least pause before the next try of a PUT, in milliseconds. Undefined when a retry would not help. */
function afterPut({ status, code }: PutError, tries: number): number | undefined {
  if (status === undefined || status >= 500 || status === 408 || status === 429) return 0;
  // Amazon answers a slow request with 400 and this code, other servers with 408.
  if (code === 'RequestTimeout') return 0;
  return (status === 403 || code === 'BadDigest') && tries < REFUSED_TRIES ? 0 : undefined;
}

function afterCall(error: unknown): number | undefined {
  if (!(error instanceof ConnectError) || !RETRIED.has(error.code)) return undefined;
  const [retryInfo] = error.findDetails(RetryInfoSchema);
  if (retryInfo?.retryDelay !== undefined) {
    return Number(retryInfo.retryDelay.seconds) * 1_000 + retryInfo.retryDelay.nanos / 1_000_000;
  }
  // The service adds RetryInfo to every error after which a retry helps. A proxy in between does not.
  const isOfTheService = error.findDetails(ErrorInfoSchema).length > 0;
  return isOfTheService ? undefined : 0;
}

/**
 * The retryable codes of the contract, and two codes that the service never sends: Connect reports a broken
 * connection with them. Every method is safe to repeat.
 */
const RETRIED = new Set([
  Code.Unavailable,
  Code.ResourceExhausted,
  Code.DeadlineExceeded,
  Code.Aborted,
  Code.Canceled,
]);
