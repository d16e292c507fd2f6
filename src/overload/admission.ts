/**
 * `src/overload/` keeps the service useful under more load than it can serve: admission of calls (this file), a capacity
 * that users share (`shared-capacity.ts`), the fair queue before Postgres, S3 and decompression (`fair-queue.ts`), the
 * turns of one user's batches (`user-turns.ts`), circuit breakers for servers that do not answer (`circuit-breaker.ts`),
 * the closing of connections that may be dead (`idle-connections.ts`), and the retry budget (`retry-budget.ts`). The
 * files here know users, weights and deadlines, but no RPC, no SQL and no S3. Limits of a connection or of a message
 * belong to `src/rpc/limits/`.
 */
import { FileError } from '../files/file-error.ts';
import { createSharedCapacity } from './shared-capacity.ts';

export type Admission = ReturnType<typeof createAdmission>;

/** The share of the service's capacity that one call holds while the call is served. */
export type Permit = ReturnType<Admission['admit']>;

/**
 * A refused caller is told to retry after a random time between these two, so that callers do not retry all at
 * once.
 */
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 1_500;

/**
 * The largest share of the total weight that one call may take. With this maximum, the only call of a user is
 * admitted while more than half of the capacity is free, however heavy the call is.
 */
const HEAVIEST_CALL_SHARE = 0.5;

/**
 * Limits how many calls are served at once, so that admitted calls can finish. A user may not hold more of the capacity
 * than was free before the user's last call (`shared-capacity.ts`). Calls have weights because their costs differ by a
 * factor of a hundred (`src/rpc/call-weights.ts`). When every call counted as 1, sixty calls for 1,000 part URLs each
 * raised the median latency of other users from 2 to 186 ms.
 *
 * @param weightMax the sum of the weights of all calls that are served at once
 */
export function createAdmission(weightMax: number) {
  const heaviest = Math.max(1, Math.floor(weightMax * HEAVIEST_CALL_SHARE));
  const capacity = createSharedCapacity(weightMax);
  let callsUnderWay = 0;
  const take = (userId: string, weight: number) => {
    if (!capacity.take(userId, weight)) throw overloaded();
  };

  return {
    /** The number of calls that were admitted and have not ended. */
    get callsUnderWay(): number {
      return callsUnderWay;
    },
    /** The sum of the weights of all calls that were admitted and have not ended. */
    get weightUnderWay(): number {
      return capacity.taken;
    },
    /**
     * Admits a call of this user with a weight of 1.
     *
     * @throws FileError OVERLOADED, at once and before any work
     */
    admit(userId: string) {
      let held = 1;
      take(userId, held);
      callsUnderWay++;
      return {
        /**
         * Raises the weight of the call. The decoded request shows what the call costs, so this is called
         * after decoding.
         *
         * @throws FileError OVERLOADED; the permit keeps its weight
         */
        grow(weight: number): void {
          // The weight that the call holds already must not be counted twice.
          const more = Math.min(weight, heaviest) - held;
          if (more <= 0) return;
          take(userId, more);
          held += more;
        },
        /**
         * Ends the call. Must be called once, when the work of the call has ended and its response has been
         * sent.
         */
        release(): void {
          callsUnderWay--;
          capacity.giveBack(userId, held);
        },
      };
    },
  };
}

function overloaded(): FileError {
  return new FileError('OVERLOADED', 'the service has more calls than it can serve; retry', {
    retryAfterMs: Math.round(RETRY_MIN_MS + Math.random() * (RETRY_MAX_MS - RETRY_MIN_MS)),
  });
}
