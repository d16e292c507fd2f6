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
 * Returns the time this many seconds from now. Times in rows use only the clock of Postgres, `now()`, so the
 * clocks of the service's instances need not agree.
 */
export const after = (value: Sql | number): Sql => sql`now() + ${seconds(value)}`;

/**
 * Now in whole milliseconds, as the columns store times. A column would round `now()` up in half of all cases, and the
 * row would then not be due at once.
 */
export const dueNow: Sql = sql`date_trunc('milliseconds', now())`;

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

/** For statements that join the table with another that has columns of the same names. */
export const qualifiedColumns = (table: string): Sql =>
  sql.raw(COLUMNS.map((column) => `${table}.${column}`).join(', '));

export const isFresh = (verificationTtlSeconds: Sql): Sql =>
  sql`verified_at > now() - ${seconds(verificationTtlSeconds)} as is_fresh`;

export const purgeable = (longestUploadSeconds: Sql): Sql =>
  sql`url_expire_at <= now() - ${seconds(longestUploadSeconds)}`;

// The sweeper is the background task that verifies uploads (`src/files/maintenance/sweeper.ts`). Its pauses before its
// attempts to verify an upload are 30 s, 2 min, 8 min, 32 min, 2 h and 9 h. An upload is purgeable when no URL can
// write to its key any more (`src/files/ports/file-store.ts`). With an ordinary URL this is so after 25 h, before the
// next pause would end. The sweeper then verifies the upload once more. So an upload that never arrives is verified
// seven times.
const FIRST_PAUSE_SECONDS = 30;
const PAUSE_FACTOR = 4;
const PAUSE_MAX_SECONDS = 86_400;
export const firstPause: Sql = after(FIRST_PAUSE_SECONDS);

// With events (EVENTS_URL is set), consumers wait for the event of each upload, and no client has to call the service
// after its PUT. So the sweeper comes 2, 4, 8, 16 and 30 s after a URL for a single PUT was handed out, and then after
// the usual pauses. Each early pause is as long as the age of the upload. `sweep_attempts` begins below 0, and is 0 after
// the last early sweep. A service without events computes very short pauses for such a row, and reaches the usual pauses
// after a few sweeps.
const EARLY_SWEEPS = 4;
const EARLY_PAUSE_SECONDS = 2;
const EARLY_FACTOR = 2;
const EARLY_END_SECONDS = EARLY_PAUSE_SECONDS * EARLY_FACTOR ** (EARLY_SWEEPS - 1);
export const earlyPause: Sql = after(EARLY_PAUSE_SECONDS);
export const earlyAttempts: Sql = sql`${-EARLY_SWEEPS}`;

/** The pause after a sweep that found nothing. `attempts` counts this sweep, too. */
export const usualPauseSeconds = (attempts: Sql): Sql => sql`least(
    ${FIRST_PAUSE_SECONDS} * power(${PAUSE_FACTOR}, least(${attempts}, 20)),
    ${PAUSE_MAX_SECONDS})`;

/** The same for a service with events. The last early pause ends when the first usual sweep would come. */
export const earlyOrUsualPauseSeconds = (attempts: Sql): Sql => sql`case
    when ${attempts} < 0 then ${EARLY_PAUSE_SECONDS} * power(${EARLY_FACTOR}, ${attempts} + ${EARLY_SWEEPS - 1})
    when ${attempts} = 0 then ${FIRST_PAUSE_SECONDS - EARLY_END_SECONDS}
    else ${usualPauseSeconds(attempts)}
  end`;

/**
 * Means `state = 'pending'`, because a row is pending, READY or deleted. It is for statements that find rows by a key
 * or a content. If the condition were written as `state = 'pending'`, Postgres could use the index `files_pending`. A
 * generic plan, which serves all users, uses that index if most users have few pending files. For a user with thousands
 * of pending files, the plan then reads all of these files.
 */
export const isPending: Sql = sql`(state <> 'deleted' and state <> 'ready')`;

/**
 * The keys of many rows of a user, to be joined with `files` on both columns. The join then probes the primary key
 * for each row. With `user_id = $1 and s3_key = any ($2)`, a generic plan reads all rows of the user, if most users
 * have fewer than ten rows. Without `offset 0`, the planner turns the join into that condition.
 */
export const rowsWanted = (userId: Sql, s3Keys: Sql): Sql => sql`(
  select ${userId}::text as user_id, s3_key from unnest(${s3Keys}::text[]) as key (s3_key) offset 0) as wanted`;

export const isWanted: Sql = sql`files.user_id = wanted.user_id and files.s3_key = wanted.s3_key`;

/**
 * Means `due_at is not null`, written so that it matches no index, for the same reason as `isPending`. The part
 * `state <> 'ready'` changes no result, because a CHECK constraint demands `due_at` for each row that is not READY.
 */
export const isUnfinished: Sql = sql`(state <> 'ready' or due_at is not null)`;

/**
 * Means `pending_slot is not null`, written so that it matches no index, for the same reason as `isPending`. The
 * 0 stands for null, because no row has slot 0.
 */
export const holdsSlot: Sql = sql`coalesce(pending_slot, 0) <> 0`;

/**
 * Selects the slots that the user's uploads hold, for `slot not in (…)`. Postgres reads them once into a hash table.
 * With `not exists (…)` it may compare each slot with each upload of the user, if it expects few: 256 slots and 128
 * uploads took 5 ms, and the time grows with their product.
 */
export const takenSlots = (userId: Sql): Sql => sql`
  select pending_slot from files where user_id = ${userId} and pending_slot is not null`;

/**
 * The pending uploads and tombstones of a user whose URLs have expired, and that hold a slot. A row that another session
 * has locked is left out. So it does not delay a create of another file, which needs any free slot.
 */
export const expiredSlots = (userId: Sql): Sql => sql`
  select user_id as slot_user, s3_key as slot_key from files
  where user_id = ${userId} and pending_slot is not null and url_expire_at <= now()
  for update skip locked`;

/** Releases the slots of the rows of `expiredSlots`, which the statement calls `expired`. */
export const releaseExpired: Sql = sql`
  update files set pending_slot = null from expired
  where user_id = slot_user and s3_key = slot_key and url_expire_at <= now()`;

/** A multipart upload's fingerprint is longer than the 16 bytes of an MD5: two more bytes hold the number of parts. */
export const isOfMultipart = (fingerprint: Sql): Sql => sql`octet_length(${fingerprint}) > 16`;

export const isMultipart: Sql = isOfMultipart(sql`fingerprint`);

/**
 * A completed multipart file comes due for the sweeper once more after this time, because a call that had read the file
 * while it was pending may have started another upload in S3. All of these calls have ended by then, because no call
 * takes longer than half of this time.
 */
export const MULTIPART_CLEANUP_SECONDS = 60;
