import type { Call, Work } from '../call.ts';
import type { PendingFile, ReadyFile } from '../file.ts';
import type { OwnedKey, S3Key } from '../rules/s3-key.ts';
import type { Tombstone } from './transitions.ts';

/**
 * A row whose next sweep is due. The sweeper (the background task that finishes interrupted work,
 * `../maintenance/sweeper.ts`) leases the row: it gets the row for some time, and other sweepers do not.
 */
export type DueFile =
  | { state: 'pending'; file: PendingFile; purgeable: boolean }
  /**
   * A file whose multipart upload made it READY about a minute ago. A call that read the row while the file was
   * pending may have begun another multipart upload in S3 under the same key.
   */
  | { state: 'ready'; file: ReadyFile }
  /** `lost`: the file was lost, and expired. S3 had no object of it when it expired. */
  | { state: 'deleted'; ref: Tombstone; lost: boolean; purgeable: boolean };

/** The beginning of the queue of due rows. */
interface OldestDue {
  /** Seconds by which the oldest due row is late; 0 if no row is due. */
  overdueSeconds: number;
  /** The search found no row that was due before this time. The next search and the next lease may begin at it. */
  dueFrom: Date;
}

/**
 * Part of `FileStore`: the due rows, which are the queue of the sweeper. A row is *purgeable* when no URL can write to
 * its key any more (`file-store.ts`).
 */
export interface SweepQueue {
  /**
   * Leases due rows of any user to one sweeper: up to `limit`, at most 100, in no particular order. Rows that
   * a concurrent statement is writing are skipped. The due time of the leased rows moves to `leaseSeconds` from
   * now, so no other sweeper gets them before, unless a call makes a row due earlier. If a sweeper dies, nothing
   * is lost: its rows come due again.
   *
   * If more than `limit` rows are due, users take turns. Most of the batch is shared evenly among users with due
   * rows, with the oldest rows of each user first. The next batch begins with the user after the last of these
   * users. So a large backlog of one user takes only the share of that user. The rest of the batch goes to the
   * rows of all users that have waited longest, so that no row waits for ever, however many users there are.
   *
   * @param dueFrom from `findOldestDue`: rows that were due earlier are left out. Default: all due rows
   */
  leaseDue(work: Work, limit: number, leaseSeconds: number, dueFrom?: Date): Promise<DueFile[]>;

  /**
   * Makes a row come due again after a pause. Each call for the row makes the pause longer, up to a day. If
   * the row becomes purgeable during the pause, the pause ends at that moment. Does not change a READY row
   * that has no due time.
   */
  reschedule(call: Call, s3Key: S3Key): Promise<void>;

  /**
   * Makes these files due now if they are PENDING, because a sender that need not be trusted says that S3 has received
   * their objects. Other files do not change. A row that a concurrent statement is writing, or that is due already, is
   * skipped. A row that is leased right now comes due for another sweeper, too, and is then swept twice.
   *
   * @param keys of any users, at most 100. The user may be unknown if the key has only the hash of the user id
   * @returns how many files came due
   */
  makeDue(work: Work, keys: readonly OwnedKey[]): Promise<number>;

  /**
   * Removes a purgeable PENDING or DELETED row. `false`: the row has another state, or is not (or no longer)
   * purgeable, or stays because of events: with events on, a row stays until its newest event was acknowledged
   * (`event-queue.ts`), and the row of a lost file must become DELETED first.
   */
  purge(call: Call, s3Key: S3Key): Promise<boolean>;

  /** Records that S3 has no multipart upload under the key of a READY file. The file is no longer due. */
  clearSweep(call: Call, s3Key: S3Key): Promise<void>;

  /**
   * Finds the oldest due row of any user.
   *
   * Without `dueFrom`, the search starts at the beginning of the index and must step over its dead entries: those that
   * changed rows left behind and vacuum has not removed yet. While a transaction holds a snapshot (`pg_dump`, for
   * example), vacuum cannot remove them, so the search becomes slower with every change. With the `dueFrom` of the last
   * search, the search starts at that time and is fast. It then does not find a row whose due time is before `dueFrom`.
   */
  findOldestDue(work: Work, dueFrom?: Date): Promise<OldestDue>;
}
