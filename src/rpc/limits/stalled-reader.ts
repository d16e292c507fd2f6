import type { Writable } from 'node:stream';
import { REQUEST_TIMEOUT_MS } from './limits.ts';

/**
 * The time between two checks. A response that is found stalled has waited for one to two of these intervals.
 */
export const STALL_CHECK_INTERVAL_MS = REQUEST_TIMEOUT_MS / 2;

/**
 * Returns a check that tells whether the client has stopped reading a response: bytes are waiting, and their
 * number has not changed since the previous check. The check must run every STALL_CHECK_INTERVAL_MS.
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
 * Calls `onStalled` when the client has read nothing for a time between half of REQUEST_TIMEOUT_MS and all of
 * it.
 */
export function watchReader(answer: Writable, onStalled: () => void): void {
  const isStalled = createStallCheck(answer);
  const timer = setTimeout(() => {
    if (isStalled()) onStalled();
    else timer.refresh();
  }, STALL_CHECK_INTERVAL_MS);
  answer.once('close', () => clearTimeout(timer));
}
