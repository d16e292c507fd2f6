import type { Writable } from 'node:stream';
import { REQUEST_TIMEOUT_MS } from './limits.ts';

/** An answer that has not moved between two looks has been waiting for one to two of these. */
export const LOOK_INTERVAL_MS = REQUEST_TIMEOUT_MS / 2;

/**
 * Tells whether the client of an answer has stopped reading it: bytes are waiting, and none has gone since this was
 * asked before. To be asked every LOOK_INTERVAL_MS.
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

/** Calls `onStalled` when the client has read nothing for half of REQUEST_TIMEOUT_MS to all of it. */
export function watchReader(answer: Writable, onStalled: () => void): void {
  const isStalled = createStallCheck(answer);
  const timer = setTimeout(() => {
    if (isStalled()) onStalled();
    else timer.refresh();
  }, LOOK_INTERVAL_MS);
  answer.once('close', () => clearTimeout(timer));
}
