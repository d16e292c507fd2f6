/** Statements that change the state of one file. Each checks the current state in its `where`. */
import { sql } from 'kysely';
import type { FileRow, TombstoneRow } from '../file-row.ts';
import {
  after,
  COLUMNS,
  firstPause,
  isMultipart,
  isPending,
  multipartColumn,
  purgeable,
  type RowKey,
  type WriteWindow,
} from './expressions.ts';
import { prepare } from './prepared.ts';

/** Only a pending upload needs its part data, which is up to 160 kB of MD5s. */
const withoutParts = { part_size: null, part_md5s: null, upload_id: null };

/**
 * A completed multipart file comes due once more after this time. Calls that read the file as pending have
 * ended by then, because no call takes longer than half of this time.
 */
const MULTIPART_CLEANUP_SECONDS = 60;

export const markReady = prepare<
  RowKey & { size: number; etag: string; mimeType: string; lastModified: Date }
>()<FileRow>('mark_ready', (db, param) =>
  db
    .updateTable('files')
    .set({
      state: 'ready',
      size: sql`${param('size')}::bigint`,
      etag: param('etag'),
      mime_type: param('mimeType'),
      // A READY file keeps its time, because pages are ordered by it. A repeated PUT must not move the file
      // in the list.
      last_modified: sql`case when state = 'ready' then last_modified else ${param('lastModified')}::timestamptz end`,
      verified_at: sql`now()`,
      lost: false,
      // The sweeper then aborts uploads that a concurrent call may have started under the key in the meantime.
      due_at: sql`case when state = 'ready' then due_at when ${isMultipart} then now() + ${sql.lit(MULTIPART_CLEANUP_SECONDS)} * interval '1 second' end`,
      sweep_attempts: 0,
      pending_slot: null,
      ...withoutParts,
    })
    .where('user_id', '=', param('userId'))
    .where('s3_key', '=', param('s3Key'))
    .where('state', '<>', 'deleted')
    .returning([...COLUMNS, sql<boolean | null>`true`.as('is_fresh')]),
);

export const markLost = prepare<RowKey & { verifiedAt: Date }>()('mark_lost', (db, param) =>
  db
    .updateTable('files')
    .set({
      state: 'pending',
      lost: true,
      // Keeps the row for as long as a new upload. If the bucket's name was wrong or a restore of the bucket
      // was late, the rows survive until the objects are back.
      url_expire_at: sql`greatest(url_expire_at, now())`,
      due_at: firstPause,
      sweep_attempts: 0,
    })
    .where('user_id', '=', param('userId'))
    .where('s3_key', '=', param('s3Key'))
    .where('state', '=', 'ready')
    // Otherwise a concurrent call has verified the object later than this caller.
    .where('verified_at', '<=', param('verifiedAt')),
);

export const clearSweep = prepare<RowKey>()('clear_sweep', (db, param) =>
  db
    .updateTable('files')
    .set({ due_at: null, sweep_attempts: 0 })
    .where('user_id', '=', param('userId'))
    .where('s3_key', '=', param('s3Key'))
    .where('state', '=', 'ready'),
);

const tombstone = { state: 'deleted', due_at: firstPause, sweep_attempts: 0, ...withoutParts } as const;

export const markDeleted = prepare<RowKey & { urlSeconds: number }>()<TombstoneRow>(
  'mark_deleted',
  (db, param) =>
    db
      .updateTable('files')
      .set({
        ...tombstone,
        // `pending_slot` stays set until the URL has expired. Otherwise a loop of creates and deletes would
        // never reach the cap, and would leave an unlimited number of tombstones.
        //
        // `least`: a multipart upload is kept for a week, but its slot need not be. Each part URL expires no
        // later than a URL that is signed now, and none of them can write after the upload has been aborted.
        //
        // `greatest`: a call that was about to remove the object, or to mark the file READY, may be delayed,
        // and must still find the tombstone. So the tombstone stays as if a URL had expired just now, however
        // old the file is. `crash-stalls.test.ts` fails without this.
        url_expire_at: sql<Date>`greatest(
          case when ${isMultipart} then least(url_expire_at, ${after(param('urlSeconds'))}) else url_expire_at end,
          now())`,
      })
      .where('user_id', '=', param('userId'))
      .where('s3_key', '=', param('s3Key'))
      .where('state', '<>', 'deleted')
      .returning(['user_id', 's3_key', multipartColumn]),
);

export const expireUpload = prepare<RowKey & WriteWindow>()<TombstoneRow>('expire_upload', (db, param) =>
  db
    .updateTable('files')
    // Releases the slot, because the URL of a purgeable upload has expired. The tombstone stays as long as
    // after a delete.
    .set({ ...tombstone, url_expire_at: sql<Date>`greatest(url_expire_at, now())`, pending_slot: null })
    .where('user_id', '=', param('userId'))
    .where('s3_key', '=', param('s3Key'))
    .where(isPending)
    .where(purgeable(param('longestUploadSeconds')))
    .returning(['user_id', 's3_key', multipartColumn]),
);
