/** Converts rows of the table `files` to the events of the port `EventQueue` (`../files/ports/event-queue.ts`). */
import type { AnnouncedFile, FileChange, FileEvent } from '../files/ports/event-queue.ts';
import { commonFields, type FileRow } from './file-row.ts';

/** A row whose newest change is not delivered yet. */
export type EventRow = FileRow & {
  /** `pg` returns an int8 as text. */
  revision: string;
  event_attempts: number;
};

const MICROSECONDS_PER_MILLISECOND = 1_000;

export function toFileEvent(row: EventRow): FileEvent {
  const change = changeOf(row);
  const { userId, s3Key, ...file } = commonFields(row);
  const revision = Number(row.revision);
  return {
    userId,
    s3Key,
    change,
    file: { s3Key, ...file, ...(isGone(change) && { filename: '' }), ...seenInStorage(row) },
    revision,
    changedAt: new Date(revision / MICROSECONDS_PER_MILLISECOND),
    attempts: row.event_attempts,
  };
}

/**
 * The change follows from the state of the row, because each transition that needs an event leads to a state of its own.
 * A pending row has an event only if it was READY: a new upload causes none. A tombstone is `lost` only if
 * `expireUpload` made it.
 */
function changeOf({ state, lost }: FileRow): FileChange {
  switch (state) {
    case 'ready':
      return 'ready';
    case 'pending':
      return 'lost';
    case 'deleted':
      return lost ? 'expired' : 'deleted';
  }
}

const isGone = (change: FileChange): boolean => change === 'deleted' || change === 'expired';

/** The ETag is unset until the file becomes READY for the first time, and stays set from then on. */
function seenInStorage({ size, etag, last_modified }: FileRow): Partial<AnnouncedFile> {
  if (size === null || etag === null || last_modified === null) return {};
  return { size: Number(size), etag, lastModified: last_modified };
}
