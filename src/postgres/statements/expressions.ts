/**
 * Parts that several statements share: types of parameters, the columns of a file, conditions and time spans.
 */
import { sql } from 'kysely';
import type { Sql } from './prepared.ts';

export interface Freshness {
  verificationTtlSeconds: number;
}
export interface WriteWindow {
  longestUploadSeconds: number;
}
export interface RowKey {
  userId: string;
  s3Key: string;
}

export const seconds = (value: Sql | number): Sql => sql`(${value}::double precision * interval '1 second')`;

/**
 * Postgres's `now()` is the only clock for the times in rows, so the clocks of the instances need not agree.
 */
export const after = (value: Sql | number): Sql => sql`now() + ${seconds(value)}`;

/** The columns of a `FileRow`. */
export const COLUMNS = [
  'user_id',
  's3_key',
  'state',
  'filename',
  'mime_type',
  'fingerprint',
  'size',
  'etag',
  'last_modified',
  'verified_at',
  'create_time',
  'lost',
] as const;

export const columns: Sql = sql.raw(COLUMNS.join(', '));

export const isFresh = (verificationTtlSeconds: Sql): Sql =>
  sql`verified_at > now() - ${seconds(verificationTtlSeconds)} as is_fresh`;

export const purgeable = (longestUploadSeconds: Sql): Sql =>
  sql`url_expire_at <= now() - ${seconds(longestUploadSeconds)}`;

// The sweeper's pauses between attempts: 30 s, 2 min, 8 min, 32 min, 2 h, 9 h. An upload with an ordinary URL
// is purgeable (after 25 h) before the next pause would end, so an upload that never arrives is verified
// seven times.
export const FIRST_PAUSE_SECONDS = 30;
export const PAUSE_FACTOR = 4;
export const PAUSE_MAX_SECONDS = 86_400;
export const firstPause: Sql = after(FIRST_PAUSE_SECONDS);

/**
 * Means `state = 'pending'` (there are three states), for statements that need one row by its key. Written as
 * `state = 'pending'`, the condition would match the index `files_pending` as well. A generic plan chooses
 * that index where users have few pending files, and then reads all of them for a user who has thousands.
 */
export const isPending: Sql = sql`(state <> 'deleted' and state <> 'ready')`;

/**
 * Means `due_at is not null`, written so that it matches no index, for the same reason as `isPending`. The
 * first half is implied: a CHECK constraint demands `due_at` for every row that is not READY.
 */
export const isUnfinished: Sql = sql`(state <> 'ready' or due_at is not null)`;

/**
 * Means `pending_slot is not null`, written so that it matches no index, for the same reason as `isPending`.
 * No slot is 0.
 */
export const holdsSlot: Sql = sql`coalesce(pending_slot, 0) <> 0`;

/** The fingerprint of a multipart upload has two bytes more than the 16 bytes of an MD5. */
export const isMultipart: Sql = sql`octet_length(fingerprint) > 16`;

/**
 * A completed multipart file comes due once more after this time. Calls that read the file as pending have
 * ended by then, because no call takes longer than half of this time.
 */
export const MULTIPART_CLEANUP_SECONDS = 60;
