import type { Work } from '../call.ts';
import type { FileRef, ReadyFile, UserFile } from '../file.ts';

/**
 * The change that led to the state of a file. `expired`: the file was lost, was not uploaded again, and was removed. A
 * file that was never READY causes `deleted` only, and only if its user cancels its upload.
 */
export type FileChange = 'ready' | 'deleted' | 'lost' | 'expired';

/**
 * What the service knows of a file when its event is delivered. `filename` is empty after `deleted` and `expired`.
 * `size`, `etag` and `lastModified` are unset if the file was never READY.
 */
export type AnnouncedFile = Pick<UserFile, 's3Key' | 'filename' | 'mimeType' | 'fingerprint' | 'createTime'> &
  Partial<Pick<ReadyFile, 'size' | 'etag' | 'lastModified'>>;

/** The newest change of a file, which the consumer has not acknowledged. */
export interface FileEvent extends FileRef {
  change: FileChange;
  file: AnnouncedFile;
  /**
   * Grows with each change of the file, also if the key is given to a new file later: microseconds since 1970 by the
   * clock of Postgres, in tens and with a last digit for the state, and more than the revision before. Below 2^53.
   *
   * A service without events changes files without a new revision. If the event of an earlier change is still due then,
   * its next lease gives it a new revision.
   */
  revision: number;
  /** The time of the change by the clock of Postgres. */
  changedAt: Date;
  /** How many deliveries of this revision have failed, not counting those that `postponeEvents` did not count. */
  attempts: number;
}

export type EventRef = Pick<FileEvent, 'userId' | 's3Key' | 'revision'>;

/** The beginning of the queue of events. */
interface OldestEvent {
  /** Seconds since the change of the oldest event that is not acknowledged; 0 if there is none. */
  ageSeconds: number;
  /** The search found no event that was due before this time. The next search and the next lease may begin at it. */
  dueFrom: Date;
}

/**
 * The outbox: the rows themselves. A transition (`transitions.ts`) makes the event of its row due in its own
 * statement, if events are on. The row keeps the newest event only. The rules of `FileStore` (`file-store.ts`) hold
 * for these methods, too.
 *
 * Only the dispatcher (`src/events/dispatcher.ts`, the background task that delivers events) and `npm run events` call
 * these methods.
 */
export interface EventQueue {
  /**
   * Leases due events of any user to one dispatcher: up to `limit`, at most 100, with the newest state of their files.
   * Users take turns, as in `SweepQueue.leaseDue`. The leased events come due again `leaseSeconds` from now, or at once
   * if their files change.
   *
   * @param dueFrom from `findOldestEvent`: events that were due earlier are left out. Default: all due events
   */
  leaseEvents(work: Work, limit: number, leaseSeconds: number, dueFrom?: Date): Promise<FileEvent[]>;

  /**
   * Removes the events from the queue. An event whose file has changed since then (another revision) stays due. If a
   * concurrent statement has locked the row, the event comes due again when its lease ends.
   *
   * @returns the events that stay, for either reason
   */
  acknowledgeEvents<Event extends EventRef>(work: Work, events: readonly Event[]): Promise<Event[]>;

  /**
   * Makes the events due again, each after its pause. An event whose file has changed since then stays due. If a
   * concurrent statement has locked the row, the event comes due again when its lease ends.
   *
   * @param isCounted whether the delivery counts as an attempt of its event
   * @returns the events that were not changed, for either reason
   */
  postponeEvents<Postponed extends EventRef & { pauseSeconds: number; isCounted: boolean }>(
    work: Work,
    events: readonly Postponed[],
  ): Promise<Postponed[]>;

  findOldestEvent(work: Work, dueFrom?: Date): Promise<OldestEvent>;

  /**
   * Makes READY files due again with a new revision, so that a consumer that is new, or has lost its data, gets them
   * all. Examines the next `limit` files, at most 100, after `after`, in the order of user and key.
   *
   * @param filter `userId`: only files of this user. `since`: only files that became READY at this time or later, and
   *   older files that were verified again since then, because the time of the first verification is not stored
   * @returns the number of files that came due, and where the next call begins; `undefined` after the last file
   */
  replayEvents(
    work: Work,
    limit: number,
    filter: { userId?: string | undefined; since?: Date | undefined },
    after?: FileRef,
  ): Promise<{ replayed: number; next: FileRef | undefined }>;

  /**
   * Drops up to `limit` events, at most 100, that are not acknowledged, because events have been turned off. Skips rows
   * that a concurrent statement is writing.
   *
   * @returns the number of dropped events, and whether any event is left
   */
  dropEvents(work: Work, limit: number): Promise<{ dropped: number; isLeft: boolean }>;
}
