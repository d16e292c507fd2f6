import { setImmediate as nextIteration } from 'node:timers/promises';
import { createFairQueue, QueueTimeoutError } from '../../overload/fair-queue.ts';
import { messagesTooMany } from '../errors.ts';
import { REQUEST_TIMEOUT_MS } from './limits.ts';

/**
 * A message of this size or more is large: it waits for a turn. A smaller message is decoded at once, because decoding
 * it and checking its fields takes less than 0.3 ms.
 */
const LARGE_BYTES = 4 * 1024;

/**
 * The maximum number of large messages that are decoded in one iteration of the event loop. Decoding the largest
 * message and checking its fields takes 5 to 15 ms. Node handles all requests that have arrived before it does anything
 * else: 100 such messages of one user delayed `/livez` by 760 ms.
 */
const PER_ITERATION_MAX = 2;

/**
 * Calls `decode` at once, or in a later iteration of the event loop. Users take turns. All callers that have not
 * authenticated as a gateway (the trusted caller that names the user) share the user id `undefined`.
 *
 * @param onError receives ConnectError RESOURCE_EXHAUSTED instead when the message has waited for too long
 */
export type TakeDecodeTurn = (
  message: { userId: string | undefined; bytes: number },
  decode: () => void,
  onError: (error: unknown) => void,
) => void;

export function createDecodeTurns(): TakeDecodeTurn {
  const queue = createFairQueue(PER_ITERATION_MAX);
  return ({ userId, bytes }, decode, onError) => {
    if (bytes < LARGE_BYTES) return decode();
    const turn = async () => {
      decode();
      // `decode` returns before all is decoded: the rest runs in the microtasks of this iteration.
      await nextIteration();
    };
    queue.run(userId, Date.now() + REQUEST_TIMEOUT_MS, turn).catch((error: unknown) => {
      onError(error instanceof QueueTimeoutError ? messagesTooMany() : error);
    });
  };
}
