/** Decides which failures of a call or of a PUT are worth a retry, and after which pause. */
import { Code, ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema, RetryInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import { pause } from './pause.ts';
import { PutError } from './put-error.ts';

/**
 * Runs `run`, and repeats it until it succeeds. Throws the last error if a retry would not help, or if `run` has
 * failed for too long.
 */
export type Retry = <Result>(signal: AbortSignal, run: () => Promise<Result>) => Promise<Result>;

const TRIES_MIN = 3;

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 10_000;

/**
 * S3 refuses a PUT if its URL has expired, or if its bytes were damaged on the way. A retry helps in both
 * cases, with a fresh URL or with the bytes sent again. Only the first try of a PUT is repeated for that reason,
 * because a refusal of a later try probably has another cause.
 */
const REFUSED_TRIES = 2;

/** A failed step that is tried again. */
export interface RetryReport {
  error: unknown;
  /** The number of the attempt that failed. The first attempt has the number 1. */
  attempt: number;
  /** The time until the next attempt. */
  delayMs: number;
}

/**
 * @param forMs no retry begins later than this time after the first failure. Exception: a step is tried at least
 *   TRIES_MIN times, however long its tries take.
 */
export function createRetry(forMs: number, onRetry?: (retry: RetryReport) => void): Retry {
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
        onRetry?.({ error, attempt: tries, delayMs: pauseMs });
        await pause(pauseMs, signal);
      }
    }
  };
}

/** Returns the pause in milliseconds; undefined when a retry would fail in the same way. */
function pauseBeforeRetry(error: unknown, tries: number): number | undefined {
  const askedMs = error instanceof PutError ? afterPut(error, tries) : afterCall(error);
  if (askedMs === undefined) return undefined;
  // The added part of the pause is random, so clients that failed at the same time retry at different times.
  return askedMs + Math.random() * Math.min(FIRST_PAUSE_MS * 2 ** (tries - 1), LONGEST_PAUSE_MS);
}

/** Returns the least pause before the next try of a PUT, in ms; undefined when a retry would not help. */
function afterPut({ status, code }: PutError, tries: number): number | undefined {
  if (status === undefined || status >= 500 || status === 408 || status === 429) return 0;
  // Amazon answers a slow request with 400 and this code, other servers with 408.
  if (code === 'RequestTimeout') return 0;
  return (status === 403 || code === 'BadDigest') && tries < REFUSED_TRIES ? 0 : undefined;
}

function afterCall(error: unknown): number | undefined {
  if (!(error instanceof ConnectError) || !RETRIED.has(error.code)) return undefined;
  const askedMs = retryInfoMs(error);
  if (askedMs !== undefined) return askedMs;
  // ErrorInfo comes from the service. Without RetryInfo it says that no retry helps. An error without both can
  // come from a proxy in front of the service, so its code alone decides.
  const isOfTheService = error.findDetails(ErrorInfoSchema).length > 0;
  return isOfTheService ? undefined : 0;
}

/**
 * The service asks for seconds. Any other time comes from a fault: a negative one would make an upload retry without an
 * end, and a timer cannot wait longer than 24 days.
 */
const LONGEST_ASKED_PAUSE_MS = 60_000;

/** Returns the pause that the service asks for, in ms; undefined when it asks for none. */
export function retryInfoMs(error: unknown): number | undefined {
  if (!(error instanceof ConnectError)) return undefined;
  const retryDelay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  if (retryDelay === undefined) return undefined;
  const askedMs = Number(retryDelay.seconds) * 1_000 + retryDelay.nanos / 1_000_000;
  return Math.min(Math.max(askedMs, 0), LONGEST_ASKED_PAUSE_MS);
}

/**
 * The codes after which the API allows a retry, and two codes (Aborted, Canceled) with which the Connect library
 * reports a broken connection. Every method of FileService is safe to repeat.
 */
const RETRIED = new Set([
  Code.Unavailable,
  Code.ResourceExhausted,
  Code.DeadlineExceeded,
  Code.Aborted,
  Code.Canceled,
]);
