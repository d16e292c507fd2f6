import type { Writable } from 'node:stream';
import { REQUEST_TIMEOUT_MS } from './limits.ts';

/** An answer that has not moved between two looks has been waiting for one to two of these. */
const LOOK_INTERVAL_MS = REQUEST_TIMEOUT_MS / 2;

/**
 * Watches whether the client reads its answer.
 *
 * @param onStalled called when bytes have been waiting for the client, and none of them has gone, for half of
 *   REQUEST_TIMEOUT_MS to all of it
 */
export function watchReader(answer: Writable, onStalled: () => void): void {
  let waiting = 0;
  const timer = setTimeout(() => {
    const { writableLength } = answer;
    if (writableLength > 0 && writableLength === waiting) return onStalled();
    waiting = writableLength;
    timer.refresh();
  }, LOOK_INTERVAL_MS);
  answer.once('close', () => clearTimeout(timer));
}
