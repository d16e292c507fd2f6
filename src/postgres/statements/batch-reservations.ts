/**
 * The statements that reserve a batch of uploads with a single PUT. `findContents` and `findKeys` find out what exists
 * already. `renewMany` and `createMany` do for many rows what `reserve` (reservations.ts) does for one row.
 *
 * A slot (column `pending_slot`) is a number that a pending upload holds. A unique index on the user and the slot
 * limits the number of a user's pending uploads.
 */
import { sql } from 'kysely';
import type { FileRow } from '../file-row.ts';
import {
  after,
  columns,
  earlyAttempts,
  earlyPause,
  expiredSlots,
  type Freshness,
  firstPause,
  holdsSlot,
  isFresh,
  isPending,
  isWanted,
  qualifiedColumns,
  releaseExpired,
  rowsWanted,
  takenSlots,
} from './expressions.ts';
import { prepareForms } from './forms.ts';
import { prepare } from './prepared.ts';

/**
 * Finds the user's files with these contents that are not deleted.
 *
 * The lateral join looks up each content in the index. With `fingerprint = any (…)`, the generic plan of Postgres (one
 * plan for all values of the parameters) reads all files of the user if most users have fewer than ten files.
 */
export const findContents = prepare<{ userId: string; fingerprints: readonly Buffer[] } & Freshness, FileRow>(
  'find_contents',
  ({ userId, fingerprints, verificationTtlSeconds }) => sql`
    select found.*
    from unnest(${fingerprints}::bytea[]) as wanted (fingerprint)
    cross join lateral (
      select ${columns}, ${isFresh(verificationTtlSeconds)}
      from files
      where user_id = ${userId} and fingerprint = wanted.fingerprint and state <> 'deleted'
      limit 1) as found`,
);

/** Finds out which of these keys are taken by files of the user, or by tombstones (rows of deleted files). */
export const findKeys = prepare<{ userId: string; s3Keys: readonly string[] }, { s3_key: string }>(
  'find_keys',
  ({ userId, s3Keys }) => sql`
    select files.s3_key from ${rowsWanted(userId, s3Keys)} join files on ${isWanted}`,
);

/**
 * Starts the lifetime of the URLs of pending uploads again, as `reserve` does. An upload without a slot is left out,
 * because this statement cannot find a free slot for it.
 *
 * A row that another session has locked is left out too, as by `markReadyMany` (transitions.ts). So the statement never
 * waits: one locked row does not fail the whole batch, and two statements cannot wait for each other in a circle
 * (deadlock).
 */
export const renewMany = prepareForms<
  { userId: string; s3Keys: readonly string[]; lifeSeconds: number },
  FileRow
>(
  'renew_many',
  ({ userId, s3Keys, lifeSeconds }, ifAnnounced) => sql`
    with locked as (
      select wanted.*
      from ${rowsWanted(userId, s3Keys)} join files on ${isWanted}
      where ${isPending} and ${holdsSlot}
      for update of files skip locked
    )
    update files set
      url_expire_at = greatest(url_expire_at, ${after(lifeSeconds)}),
      due_at = ${ifAnnounced(earlyPause, firstPause)},
      sweep_attempts = ${ifAnnounced(earlyAttempts, sql`0`)}
    from locked as wanted
    where ${isWanted} and ${isPending} and ${holdsSlot}
    returning ${qualifiedColumns('files')}, false as is_fresh`,
);

interface NewUploads {
  userId: string;
  lowestSlot: number;
  highestSlot: number;
  lifeSeconds: number;
  // One array for each column, all in the order of the uploads.
  s3Keys: readonly string[];
  fingerprints: readonly Buffer[];
  filenames: readonly string[];
  mimeTypes: readonly string[];
  sizes: readonly (number | null)[];
}

/** A created row. If no row was created, the only row has nulls and `free_slots`. */
type NewRow = (FileRow | { [Column in keyof FileRow]: null }) & { free_slots: number };

/**
 * Creates pending uploads. An upload is left out if its key, its content or its slot is taken already, or if no slot is
 * free for it. `free_slots` is the number of free slots that were found, at most one for each upload: only that many of
 * the first uploads got a slot.
 *
 * The uploads get the lowest free slots, in their order. If two instances of the service create batches of a user at the
 * same time, both batches begin with the same slot. So the second batch waits at its first upload until the first batch
 * has committed, and the first batch finds no row of the second for which it would have to wait. With random slots as in
 * `reserve`, each batch could wait for a row of the other, which is a deadlock. Within an instance, the batches of a user
 * run one after the other (../file-store/create-in-turn.ts).
 */
export const createMany = prepareForms<NewUploads, NewRow>(
  'create_many',
  (
    { userId, lowestSlot, highestSlot, lifeSeconds, s3Keys, fingerprints, filenames, mimeTypes, sizes },
    ifAnnounced,
  ) => sql`
    with free as (
      select array(
        select slot
        from generate_series(${lowestSlot}::int, ${highestSlot}::int) as slot
        where slot not in (${takenSlots(userId)})
        limit cardinality(${s3Keys}::text[])) as slots
    ),
    created as (
      insert into files (user_id, s3_key, state, fingerprint, filename, mime_type, size, url_expire_at, due_at,
        pending_slot ${ifAnnounced(sql`, sweep_attempts`)})
      select ${userId}, upload.s3_key, 'pending', upload.fingerprint, upload.filename, upload.mime_type, upload.size,
        ${after(lifeSeconds)}, ${ifAnnounced(earlyPause, firstPause)}, slots[position::int]
        ${ifAnnounced(sql`, ${earlyAttempts}`)}
      from free, unnest(${s3Keys}::text[], ${fingerprints}::bytea[], ${filenames}::text[], ${mimeTypes}::text[],
        ${sizes}::bigint[]) with ordinality as upload(s3_key, fingerprint, filename, mime_type, size, position)
      where position <= cardinality(slots)
      on conflict do nothing
      returning ${columns}, false as is_fresh
    )
    select created.*, cardinality(slots) as free_slots from free left join created on true`,
  (rows) => rows[0]?.s3_key != null,
);

/**
 * Releases the slots of pending uploads and tombstones whose URLs have expired, and counts the slots that no upload with
 * a valid URL holds. `explainConflict` (reservations.ts) does this for a single create.
 *
 * The count does not depend on what this statement releases: another session may have released the same slots before, or
 * may be releasing them now. Two instances that created batches of one user at the same time both met this case, and one
 * of them refused its whole batch as too many.
 */
export const releaseSlots = prepare<
  { userId: string; lowestSlot: number; highestSlot: number },
  { free_slots: number }
>(
  'release_slots',
  ({ userId, lowestSlot, highestSlot }) => sql`
    with expired as (${expiredSlots(userId)}),
    released as (${releaseExpired})
    select count(*)::int as free_slots
    from generate_series(${lowestSlot}::int, ${highestSlot}::int) as slot
    where slot not in (${takenSlots(userId)} and url_expire_at > now())`,
  // As for `explainConflict`, the row does not show whether the statement wrote something.
  () => false,
);
