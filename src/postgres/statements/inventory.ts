/** Statements of `npm run reconcile`, which compares the table with the bucket. Each statement is about one row. */
import { sql } from 'kysely';
import { firstRevision } from './events/new-event.ts';
import {
  after,
  dueNow,
  isMultipart,
  isOfMultipart,
  MULTIPART_CLEANUP_SECONDS,
  type RowKey,
} from './expressions.ts';
import { prepareForms } from './forms.ts';
import { prepare } from './prepared.ts';

export const hasRow = prepare<RowKey, { s3_key: string }>(
  'has_row',
  ({ userId, s3Key }) => sql`select s3_key from files where user_id = ${userId} and s3_key = ${s3Key}`,
);

/**
 * Finds the row of a multipart file if the row has a `due_at`: a pending row, the row of a deleted file, or a READY row
 * whose key the sweeper (a background task, `src/files/maintenance/sweeper.ts`) still has to clean (see `markReady` in
 * transitions.ts). At `due_at`, the sweeper takes the row and cleans up the unfinished uploads under the key. So the
 * command must leave these uploads alone.
 */
export const ownsUploads = prepare<RowKey, { s3_key: string }>(
  'owns_uploads',
  ({ userId, s3Key }) => sql`
    select s3_key from files
    where user_id = ${userId} and s3_key = ${s3Key} and due_at is not null and ${isMultipart}`,
);

export const keyOfContent = prepare<{ userId: string; fingerprint: Buffer }, { s3_key: string }>(
  'key_of_content',
  ({ userId, fingerprint }) => sql`
    select s3_key from files
    where user_id = ${userId} and fingerprint = ${fingerprint} and state = 'ready'`,
);

interface AdoptParams extends RowKey {
  filename: string;
  mimeType: string;
  fingerprint: Buffer;
  size: number;
  etag: string;
  lastModified: Date;
  /** For this long, a URL may still be valid that the service gave out before the table lost the file's earlier row. */
  urlSeconds: number;
}

/**
 * Creates the READY row of an object that has no row. The row of a multipart file gets a `due_at`, as in
 * `markReady` (transitions.ts): the sweeper then aborts unfinished uploads under the key.
 *
 * `on conflict` names no target, because the conflict can be on the key or on the content. So this statement
 * never changes a row that a concurrent create has made, and two concurrent runs make one row.
 */
export const adopt = prepareForms<AdoptParams, { s3_key: string }>(
  'adopt',
  (
    { userId, s3Key, filename, mimeType, fingerprint, size, etag, lastModified, urlSeconds },
    ifAnnounced,
  ) => sql`
    insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, size, etag,
      last_modified, create_time, verified_at, url_expire_at, due_at ${ifAnnounced(sql`, revision, event_due_at`)})
    values (${userId}, ${s3Key}, 'ready', ${filename}, ${mimeType}, ${fingerprint}, ${size}, ${etag},
      ${lastModified}, least(${lastModified}::timestamptz, now()), now(), ${after(urlSeconds)},
      case when ${isOfMultipart(sql`${fingerprint}::bytea`)} then ${after(MULTIPART_CLEANUP_SECONDS)} end
      ${ifAnnounced(sql`, ${firstRevision('ready')}, ${dueNow}`)})
    on conflict do nothing
    returning s3_key`,
);
