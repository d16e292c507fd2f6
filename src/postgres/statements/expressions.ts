import { type Expression, type RawBuilder, type SqlBool, sql } from 'kysely';

/** What several statements are made of: their parameters, the columns of a file, and the protocol's times. */

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

export const seconds = (value: Expression<number>): RawBuilder<Date> =>
  sql`(${value}::double precision * interval '1 second')`;

/** `now()` is the only clock for rows. */
export const after = (value: Expression<number>): RawBuilder<Date> => sql`now() + ${seconds(value)}`;

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

export const isFresh = (verificationTtlSeconds: Expression<number>) =>
  sql<boolean | null>`verified_at > now() - ${seconds(verificationTtlSeconds)}`.as('is_fresh');

export const purgeable = (longestUploadSeconds: Expression<number>): RawBuilder<SqlBool> =>
  sql`url_expire_at <= now() - ${seconds(longestUploadSeconds)}`;

// The sweeper's pauses: 30 s, 2 min, 8 min, 32 min, 2 h, 9 h; the next is past
// the settling of an ordinary URL (25 h). Seven looks at an upload that never comes.
export const FIRST_PAUSE_SECONDS = 30;
export const PAUSE_FACTOR = 4;
export const PAUSE_MAX_SECONDS = 86_400;
export const firstPause = sql<Date>`now() + ${sql.lit(FIRST_PAUSE_SECONDS)} * interval '1 second'`;

/**
 * `state = 'pending'`, there being three states, for a statement that wants one
 * row. In those words the index of a user's pending files would fit, too; where
 * users have few of them, a kept plan takes it, and reads them all for the user
 * who has thousands.
 */
export const isPending = sql<SqlBool>`(state <> 'deleted' and state <> 'ready')`;

/** `due_at is not null`, in words that fit no index, for the same reason: what is not READY is due at some time. */
export const isUnfinished = sql<SqlBool>`(state <> 'ready' or due_at is not null)`;

/** `pending_slot is not null`, likewise. */
export const holdsSlot = sql<SqlBool>`coalesce(pending_slot, 0) <> 0`;

/** A fingerprint of parts has two bytes more than an MD5. */
export const isMultipart = sql<boolean>`octet_length(fingerprint) > 16`;
export const multipartColumn = isMultipart.as('is_multipart');
