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

/** From state to state, each with its guard. */

/** Only a pending upload has parts: up to 160 kB of their MD5s. */
const withoutParts = { part_size: null, part_md5s: null, upload_id: null };

/** No call takes longer than half of it. */
const LAST_CALL_SECONDS = 60;

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
      // A READY file keeps its time: pages are ordered by it, and a replayed PUT must not move it.
      last_modified: sql`case when state = 'ready' then last_modified else ${param('lastModified')}::timestamptz end`,
      verified_at: sql`now()`,
      lost: false,
      // By then the calls that saw it pending have ended; what they may have begun beside it is removed.
      due_at: sql`case when state = 'ready' then due_at when ${isMultipart} then now() + ${sql.lit(LAST_CALL_SECONDS)} * interval '1 second' end`,
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
      // It is kept as long as an upload that was asked for just now: a wrong
      // bucket name or a late restore must not cost the rows.
      url_expire_at: sql`greatest(url_expire_at, now())`,
      due_at: firstPause,
      sweep_attempts: 0,
    })
    .where('user_id', '=', param('userId'))
    .where('s3_key', '=', param('s3Key'))
    .where('state', '=', 'ready')
    // Or somebody else's younger look has found it.
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
        // A slot stays taken until the URL has expired: else a loop of creates and deletes would never meet the cap,
        // and leave tombstones without end.
        //
        // An upload in parts is kept for a week, but no URL that was handed out for a part lives longer than one that
        // is signed now, and without the upload, which is aborted, none of them can write.
        //
        // Whoever was about to remove the object, or to write down that it was seen, and is held up meanwhile, must
        // still find the tombstone: it stays as long as one whose URL lived until now, however old the file.
        // `crash-stalls.test.ts` fails without it.
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
    // It has purgeable, so its slot is nobody's. The tombstone stays for as long as after a delete.
    .set({ ...tombstone, url_expire_at: sql<Date>`greatest(url_expire_at, now())`, pending_slot: null })
    .where('user_id', '=', param('userId'))
    .where('s3_key', '=', param('s3Key'))
    .where(isPending)
    .where(purgeable(param('longestUploadSeconds')))
    .returning(['user_id', 's3_key', multipartColumn]),
);
