/**
 * `src/files/ports` has the contracts that Postgres (`FileStore`, `EventQueue`, `RowInventory`) and S3 (`ObjectStore`,
 * `MultipartStore`, `Presigner`, `BucketInventory`) must keep, and the `Observer`, which receives events that
 * operations do not report to their callers. Only this folder says what a method returns and throws, in which
 * order, and whether it can be repeated. A type belongs here if a port needs it and no file of
 * `src/files/rules` does.
 */
import type { FileReads } from './file-reads.ts';
import type { PendingUploads } from './pending-uploads.ts';
import type { BatchReservations, Reservations } from './reservations.ts';
import type { SweepQueue } from './sweep-queue.ts';
import type { Transitions } from './transitions.ts';

/**
 * The store of the rows. A row changes only in one atomic transition: one SQL statement that contains its guard, the
 * condition on the row's state. The times in rows are compared only with the clock of Postgres, because the clocks of
 * instances may differ.
 *
 * - Every method with a `Call` sees and changes files of `call.userId` only. `leaseDue`, `findOldestDue` and `makeDue`
 *   have a `Work` instead, which need not name a user (`../call.ts`), and see the rows of all users. Only the sweeper
 *   (the background task that finishes interrupted work, `../maintenance/sweeper.ts`) calls the first two, and only the
 *   endpoint for notifications of S3 calls `makeDue`.
 * - A method that finds its row in another state changes nothing. If it returns a value, it returns `undefined` or
 *   `false`: a concurrent call was first, so the caller reads the row again.
 * - Every method is safe to repeat.
 * - No method waits for S3, and no method holds a lock after it has returned.
 * - @throws FileError DATABASE_UNAVAILABLE if the database does not answer by the deadline. A write may or
 *   may not have happened then; repeating the operation leads to the right state in both cases.
 * - @throws DeadlineExceededError if no time was left to send the statement. The statement has then changed nothing.
 *
 * A row is *purgeable* when its last URL expired longer ago than the longest upload takes. From then on, no URL of
 * the service can write to the row's key. A deleted file keeps its row until then. Its row is called a *tombstone*.
 * For a tombstone, the delete counts as one more URL that expired at the time of the delete. So the key is not given to
 * other content while a delayed step of another instance can still change the object under this key.
 */
export interface FileStore
  extends Reservations,
    BatchReservations,
    FileReads,
    Transitions,
    PendingUploads,
    SweepQueue {}
