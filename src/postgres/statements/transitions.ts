/** Statements that change the state of files. Each statement checks the current state of each row in its `where`. */
import { sql } from 'kysely';
import type { FileRow, TombstoneRow } from '../file-row.ts';
import { newEvent } from './events/new-event.ts';
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
import { type IfAnnounced, prepareForms } from './forms.ts';
import { prepare, type Sql } from './prepared.ts';

/** Only a pending upload needs its part data, which is up to 160 kB of MD5s. */
const withoutParts = sql`part_size = null, part_md5s = null, upload_id = null`;

/**
 * A READY file keeps its `last_modified`, because pages are ordered by it. A repeated PUT must not move the
 * file in the list.
 *
 * A multipart file comes due once more. The sweeper (a background task, `src/files/maintenance/sweeper.ts`) then aborts
 * uploads that a concurrent call may have started under the key in the meantime.
 *
 * A verification that finds a READY file unchanged causes no event.
 */
const becomeReady = (
  seen: Record<'size' | 'etag' | 'mimeType' | 'lastModified', Sql>,
  ifAnnounced: IfAnnounced,
): Sql => sql`
  state = 'ready',
  size = ${seen.size},
  etag = ${seen.etag},
  mime_type = ${seen.mimeType},
  last_modified = case when state = 'ready' then last_modified else ${seen.lastModified} end,
  verified_at = now(),
  lost = false,
  due_at = case
    when state = 'ready' then due_at
    when ${isMultipart} then ${after(MULTIPART_CLEANUP_SECONDS)}
  end,
  sweep_attempts = 0,
  pending_slot = null,
  ${withoutParts}
  ${ifAnnounced(sql`, ${newEvent('ready', isChange(seen))}`)}`;

const isChange = ({ size, etag, mimeType }: Record<'size' | 'etag' | 'mimeType', Sql>): Sql =>
  sql`state <> 'ready' or size <> ${size} or etag <> ${etag} or mime_type <> ${mimeType}`;

export const markReady = prepareForms<
  RowKey & { size: number; etag: string; mimeType: string; lastModified: Date },
  FileRow
>(
  'mark_ready',
  ({ userId, s3Key, size, etag, mimeType, lastModified }, ifAnnounced) => sql`
    update files set ${becomeReady({ size, etag, mimeType, lastModified }, ifAnnounced)}
    where user_id = ${userId} and s3_key = ${s3Key} and state <> 'deleted'
    returning ${columns}, true as is_fresh`,
);

interface SeenObjects {
  userId: string;
  // One array for each column, all in the order of the objects.
  s3Keys: readonly string[];
  sizes: readonly number[];
  etags: readonly string[];
  mimeTypes: readonly string[];
  modifiedTimes: readonly Date[];
}

/**
 * Does what `markReady` does, for many files. A row that another session has locked is left out. So the statement never
 * waits: one locked row does not hold up the others, and two statements cannot wait for each other in a circle
 * (deadlock).
 *
 * The columns of `object` have names that `files` does not have, so that the shared expressions mean columns of `files`.
 */
export const markReadyMany = prepareForms<SeenObjects, FileRow>(
  'mark_ready_many',
  ({ userId, s3Keys, sizes, etags, mimeTypes, modifiedTimes }, ifAnnounced) => sql`
    with object as (
      select ${userId}::text as seen_user, seen.*
      from unnest(${s3Keys}::text[], ${sizes}::bigint[], ${etags}::text[], ${mimeTypes}::text[],
        ${modifiedTimes}::timestamptz[]) as seen (seen_key, seen_size, seen_etag, seen_type, seen_time)
      offset 0
    ),
    locked as (
      select object.*
      from object join files on user_id = seen_user and s3_key = seen_key
      where state <> 'deleted'
      for update of files skip locked
    )
    update files set ${becomeReady(
      {
        size: sql`seen_size`,
        etag: sql`seen_etag`,
        mimeType: sql`seen_type`,
        lastModified: sql`seen_time`,
      },
      ifAnnounced,
    )}
    from locked
    where user_id = seen_user and s3_key = seen_key and state <> 'deleted'
    returning ${columns}, true as is_fresh`,
);

/**
 * Makes a READY file pending, because S3 has no object for it any more. The row is kept for as long as the row of a new
 * upload. If the bucket's name was wrong or a restore of the bucket was late, the object can come back in this time.
 *
 * Changes nothing if a concurrent call has verified the object after `verifiedAt`, the time that the caller
 * of this statement read from the row.
 */
export const markLost = prepareForms<RowKey & { verifiedAt: Date }>(
  'mark_lost',
  ({ userId, s3Key, verifiedAt }, ifAnnounced) => sql`
    update files set
      state = 'pending',
      lost = true,
      url_expire_at = greatest(url_expire_at, now()),
      due_at = ${firstPause},
      sweep_attempts = 0
      ${ifAnnounced(sql`, ${newEvent('pending')}`)}
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
 *
 * `lost = false`: a tombstone that is `lost` belongs to a lost file that expired (`expireUpload`).
 */
export const markDeleted = prepareForms<RowKey & { urlSeconds: number }, TombstoneRow>(
  'mark_deleted',
  ({ userId, s3Key, urlSeconds }, ifAnnounced) => sql`
    update files set
      ${becomeTombstone},
      lost = false,
      url_expire_at = greatest(
        case when ${isMultipart} then least(url_expire_at, ${after(urlSeconds)}) else url_expire_at end,
        now())
      ${ifAnnounced(sql`, ${newEvent('deleted')}`)}
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
 *
 * Only a lost file causes an event. If a file was lost and its user has then begun a new upload, its row may still wait
 * for the delivery of the loss. A tombstone would turn that event into the event of a delete, so the row stays until
 * the delivery.
 */
export const expireUpload = prepareForms<RowKey & WriteWindow, TombstoneRow>(
  'expire_upload',
  ({ userId, s3Key, longestUploadSeconds }, ifAnnounced) => sql`
    update files set
      ${becomeTombstone},
      url_expire_at = greatest(url_expire_at, now()),
      pending_slot = null
      ${ifAnnounced(sql`, ${newEvent('deleted', sql`lost`)}`)}
    where user_id = ${userId} and s3_key = ${s3Key} and ${isPending} and ${purgeable(longestUploadSeconds)}
      ${ifAnnounced(sql`and (lost or event_due_at is null)`)}
    returning ${tombstoneColumns}`,
);
