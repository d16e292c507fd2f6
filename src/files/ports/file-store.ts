/**
 * `src/files/ports` has the contracts that Postgres (`FileStore`, `RowInventory`) and S3 (`ObjectStore`,
 * `MultipartStore`, `Presigner`, `BucketInventory`) must keep, and the `Observer` of events that no caller is
 * told. What a method returns and throws, its order and its idempotency stand here, and nowhere else. A type
 * belongs here if a port needs it and no rule does.
 */
import type { FileReads } from './file-reads.ts';
import type { PendingUploads } from './pending-uploads.ts';
import type { Reservations } from './reservations.ts';
import type { SweepQueue } from './sweep-queue.ts';
import type { Transitions } from './transitions.ts';

/**
 * The store of the rows. Each method is one atomic transition: one SQL statement with its guard. Only the
 * store's clock decides about rows.
 *
 * - Every method sees and changes files of `call.userId` only. The sweeper's methods with a `Work` see the
 *   rows of all users.
 * - A method that finds its row in another state changes nothing and returns `undefined` (or `false`): a
 *   concurrent call was first, so the caller reads the row again.
 * - Every method is safe to repeat.
 * - No method waits for S3, and no method holds a lock after it has returned.
 * - @throws FileError DATABASE_UNAVAILABLE if the database does not answer by the deadline. A write may or
 *   may not have happened then; repeating the operation leads to the right state in both cases.
 * - @throws DeadlineExceededError if no time was left to send the statement: nothing has happened.
 *
 * A row is *purgeable* when its last URL expired longer ago than the longest upload takes. From then on
 * nothing that the service handed out can write to its key. For a tombstone the delete counts like a URL that
 * expired at that moment, so that its key is not given to other content while a delayed step of another
 * instance can still touch it.
 */
export interface FileStore extends Reservations, FileReads, Transitions, PendingUploads, SweepQueue {}
