import type { Deadline } from './deadline.ts';

/**
 * The user and the deadline of a step against Postgres or S3. A method of a port (`src/files/ports/`) that does such a
 * step gets a `Work` or a `Call` as its first argument, so that every step of a call has the same user and a deadline.
 * Methods that list the whole table or the whole bucket (`ports/inventories.ts`) take many steps and get none.
 */
export interface Work {
  readonly deadline: Deadline;
  /**
   * The user in whose name the step runs. Fair queues (`src/overload/fair-queue.ts`) share connections and sockets
   * among users. The user is unset for work that concerns all users: for example, when the sweeper (the background
   * task that finishes interrupted work, `maintenance/sweeper.ts`) looks for the rows that it has to work on. All work
   * without a user waits in one queue of its own.
   */
  readonly userId?: string | undefined;
}

/**
 * Work for one user. A query for one user takes the user id from a `Call` and from nowhere else, and sees only
 * the rows of `call.userId`. In an RPC, `userId` is the user that the gateway (the trusted program in front of the
 * service) names in the metadata. In the sweeper and in `npm run reconcile` (`maintenance/reconcile.ts`), `userId` is
 * the user of the row or of the key.
 */
export interface Call extends Work {
  readonly userId: string;
  /**
   * Returns whether the client of the RPC has disconnected, or has got its answer because the deadline has passed.
   * Unset in background work.
   */
  readonly isAbandoned?: () => boolean;
}

/** No client waits for the call any more. The steps that have begun are complete, and no further step has begun. */
export class CallAbandonedError extends Error {
  override readonly name = 'CallAbandonedError';
}

/** @throws CallAbandonedError */
export function assertNotAbandoned({ isAbandoned }: Pick<Call, 'isAbandoned'>): void {
  if (isAbandoned?.()) throw new CallAbandonedError('the client has disconnected');
}

/** The time-out of one step of background work: of one statement, or of what the sweeper does for one row. */
const STEP_TIMEOUT_MS = 5_000;

/** One step of background work. It names no user, because a statement may be about rows of many users. */
export function stepWork(): Work {
  return { deadline: Date.now() + STEP_TIMEOUT_MS };
}
