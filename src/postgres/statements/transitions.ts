/** Statements that change the state of one file. Each statement checks the current state in its `where`. */
import { sql } from 'kysely';
import type { FileRow, TombstoneRow } from '../file-row.ts';
import {
  after,
  columns,
  firstPause,
  isMultipart,
  isPending,
  MULTIPART_CLEANUP_SECONDS,
  purgeable,
  type RowKey,
  type WriteWindow,
} from './expressions.ts';
import { prepare } from './prepared.ts';

/** Only a pending upload needs its part data, which is up to 160 kB of MD5s. */
const withoutParts = sql`part_size = null, part_md5s = null, upload_id = null`;

/**
 * A READY file keeps its `last_modified`, because pages are ordered by it. A repeated PUT must not move the
 * file in the list.
 *
 * A multipart file comes due once more. The sweeper (a background task, `src/files/maintenance/sweeper.ts`) then aborts
 * uploads that a concurrent call may have started under the key in the meantime.
 */
export const markReady = prepare<
  RowKey & { size: number; etag: string; mimeType: string; lastModified: Date },
  FileRow
>(
  'mark_ready',
  ({ userId, s3Key, size, etag, mimeType, lastModified }) => sql`
    update files set
      state = 'ready',
      size = ${size},
      etag = ${etag},
      mime_type = ${mimeType},
      last_modified = case when state = 'ready' then last_modified else ${lastModified} end,
      verified_at = now(),
      lost = false,
      due_at = case
        when state = 'ready' then due_at
        when ${isMultipart} then ${after(MULTIPART_CLEANUP_SECONDS)}
      end,
      sweep_attempts = 0,
      pending_slot = null,
      ${withoutParts}
    where user_id = ${userId} and s3_key = ${s3Key} and state <> 'deleted'
    returning ${columns}, true as is_fresh`,
);

/**
 * Makes a READY file pending, because S3 has no object for it any more. The row is kept for as long as the row of a new
 * upload. If the bucket's name was wrong or a restore of the bucket was late, the object can come back in this time.
 *
 * Changes nothing if a concurrent call has verified the object after `verifiedAt`, the time that the caller
 * of this statement read from the row.
 */
export const markLost = prepare<RowKey & { verifiedAt: Date }>(
  'mark_lost',
  ({ userId, s3Key, verifiedAt }) => sql`
    update files set
      state = 'pending',
      lost = true,
      url_expire_at = greatest(url_expire_at, now()),
      due_at = ${firstPause},
      sweep_attempts = 0
    where user_id = ${userId} and s3_key = ${s3Key} and state = 'ready' and verified_at <= ${verifiedAt}`,
);

export const clearSweep = prepare<RowKey>(
  'clear_sweep',
  ({ userId, s3Key }) => sql`
    update files set due_at = null, sweep_attempts = 0
    where user_id = ${userId} and s3_key = ${s3Key} and state = 'ready'`,
);

const becomeTombstone = sql`state = 'deleted', due_at = ${firstPause}, sweep_attempts = 0, ${withoutParts}`;

const tombstoneColumns = sql`user_id, s3_key, ${isMultipart} as is_multipart`;

/**
 * Makes the row a tombstone: the row of a deleted file, which keeps the key. `pending_slot` stays set until the URL has
 * expired. Otherwise a loop of creates and deletes would never reach the cap on the slots of a user, and would leave an
 * unlimited number of tombstones.
 *
 * `least`: a pending multipart upload is kept for a week, but its slot need not be kept that long after a
 * delete. Each part URL expires no later than a URL that is signed now, and no part URL can write after the
 * upload has been aborted.
 *
 * `greatest`: a call that was about to remove the object, or to mark the file READY, may be delayed, and must still
 * find the tombstone. So the tombstone stays as if a URL had expired just now, however old the file is.
 * test/consistency/crash-stalls.test.ts fails without `greatest`.
 */
export const markDeleted = prepare<RowKey & { urlSeconds: number }, TombstoneRow>(
  'mark_deleted',
  ({ userId, s3Key, urlSeconds }) => sql`
    update files set
      ${becomeTombstone},
      url_expire_at = greatest(
        case when ${isMultipart} then least(url_expire_at, ${after(urlSeconds)}) else url_expire_at end,
        now())
    where user_id = ${userId} and s3_key = ${s3Key} and state <> 'deleted'
    returning ${tombstoneColumns}`,
);

/**
 * Locks a tombstone. If a delete was given up while its commit waited for a synchronous standby, Postgres shows a
 * tombstone that a failover may lose. A lock is written to the write-ahead log, so the commit of this statement waits
 * for the standby, too. Postgres sends the log in order, so the standby then has the tombstone.
 */
export const confirmTombstone = prepare<RowKey>(
  'confirm_tombstone',
  ({ userId, s3Key }) => sql`
    with tombstone as (
      select from files where user_id = ${userId} and s3_key = ${s3Key} and state = 'deleted' for update)
    select from tombstone`,
);

/**
 * Makes a pending upload a tombstone, if the upload is *purgeable*: no URL can write to its key any more
 * (`src/files/ports/file-store.ts`). Its URL has expired, so its slot is released. The tombstone stays as long as a
 * tombstone that `markDeleted` made.
 */
export const expireUpload = prepare<RowKey & WriteWindow, TombstoneRow>(
  'expire_upload',
  ({ userId, s3Key, longestUploadSeconds }) => sql`
    update files set
      ${becomeTombstone},
      url_expire_at = greatest(url_expire_at, now()),
      pending_slot = null
    where user_id = ${userId} and s3_key = ${s3Key} and ${isPending} and ${purgeable(longestUploadSeconds)}
    returning ${tombstoneColumns}`,
);
