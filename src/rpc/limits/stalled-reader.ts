import type { Writable } from 'node:stream';
import { REQUEST_TIMEOUT_MS } from './limits.ts';

/**
 * The time between two checks of a response. When a check finds that the client has stopped reading, the response
 * has waited for one to two of these intervals.
 */
export const STALL_CHECK_INTERVAL_MS = REQUEST_TIMEOUT_MS / 2;

/**
 * Returns a function that tells whether the client has stopped reading a response: bytes wait to be sent, and
 * their number has not changed since the previous call. The function must be called every STALL_CHECK_INTERVAL_MS.
 */
export function createStallCheck(answer: Writable): () => boolean {
  let waiting = 0;
  return () => {
    const { writableLength } = answer;
    const isStalled = writableLength > 0 && writableLength === waiting;
    waiting = writableLength;
    return isStalled;
  };
}

/**
 * Calls `onStalled` when the client has stopped reading the response. The client has then read nothing for at
 * least half of REQUEST_TIMEOUT_MS, and at most for all of it.
 */
export function watchReader(answer: Writable, onStalled: () => void): void {
  const isStalled = createStallCheck(answer);
  const timer = setTimeout(() => {
    if (isStalled()) onStalled();
    else timer.refresh();
  }, STALL_CHECK_INTERVAL_MS);
  answer.once('close', () => clearTimeout(timer));
}
