/**
 * The statements of a create. `reserve` finds the file with a content, or creates a pending file. If `reserve` returns
 * no row, `explainConflict` finds out why. `updateIntent` gives a pending file another name, type and size.
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
  isFresh,
  isOfMultipart,
  isPending,
  type RowKey,
  releaseExpired,
  takenSlots,
} from './expressions.ts';
import { prepareForms } from './forms.ts';
import { prepare, type Sql } from './prepared.ts';

interface ReserveParams extends RowKey, Freshness {
  fingerprint: Buffer;
  filename: string;
  mimeType: string;
  size: number | null;
  partSize: number | null;
  partMd5s: Buffer | null;
  /** The lifetime of the URL, or of the multipart upload, that the caller hands out after this statement. */
  lifeSeconds: number;
  /** The slot for the file if it has none: the number that counts against the cap (`pending_slot` in ../schema.ts). */
  slot: number;
}

/** An upload with a single PUT has early sweeps (expressions.ts). A multipart upload is completed by a call. */
const firstDueAt = (fingerprint: Sql): Sql => byKind(fingerprint, earlyPause, firstPause);
const firstAttempts = (fingerprint: Sql): Sql => byKind(fingerprint, earlyAttempts, sql`0`);
const byKind = (fingerprint: Sql, single: Sql, multipart: Sql): Sql =>
  sql`case when ${isOfMultipart(sql`${fingerprint}::bytea`)} then ${multipart} else ${single} end`;

/**
 * Returns the user's live file (any that is not deleted) with this fingerprint (the ETag that S3 gives the content), or
 * creates a pending one. A pending file is renewed: its URL may be used for `lifeSeconds` again. Returns no row if
 * another file has the key, if the slot is taken, or if a concurrent call creates the same file. `explainConflict`
 * finds the reason.
 *
 * The `coalesce` of `part_size` and of `part_md5s` restores the values of a multipart file that became READY and
 * was then lost, because `markReady` (transitions.ts) removed them. The `coalesce` of `pending_slot` gives a slot
 * to an upload whose slot `explainConflict` has released.
 *
 * `on conflict` names no columns, because the conflict can be on the key, on the slot, or on the content.
 */
export const reserve = prepareForms<ReserveParams, FileRow & { created: boolean }>(
  'reserve',
  (
    {
      userId,
      s3Key,
      fingerprint,
      filename,
      mimeType,
      size,
      partSize,
      partMd5s,
      lifeSeconds,
      slot,
      verificationTtlSeconds,
    },
    ifAnnounced,
  ) => sql`
    with live as (
      select ${columns}, ${isFresh(verificationTtlSeconds)}
      from files
      where user_id = ${userId} and fingerprint = ${fingerprint} and state <> 'deleted'
    ),
    renewed as (
      update files set
        url_expire_at = greatest(url_expire_at, ${after(lifeSeconds)}),
        part_size = coalesce(part_size, ${partSize}),
        part_md5s = coalesce(part_md5s, ${partMd5s}),
        pending_slot = coalesce(pending_slot, ${slot}),
        due_at = ${ifAnnounced(firstDueAt(fingerprint), firstPause)},
        sweep_attempts = ${ifAnnounced(firstAttempts(fingerprint), sql`0`)}
      where user_id = ${userId} and fingerprint = ${fingerprint} and ${isPending}
      returning ${columns}, false as is_fresh
    ),
    created as (
      insert into files (user_id, s3_key, state, fingerprint, filename, mime_type, size,
        part_size, part_md5s, url_expire_at, due_at, pending_slot ${ifAnnounced(sql`, sweep_attempts`)})
      select ${userId}, ${s3Key}, 'pending', ${fingerprint}, ${filename}, ${mimeType}, ${size}::bigint,
        ${partSize}, ${partMd5s}, ${after(lifeSeconds)}, ${ifAnnounced(firstDueAt(fingerprint), firstPause)}, ${slot}
        ${ifAnnounced(sql`, ${firstAttempts(fingerprint)}`)}
      where not exists (select from live)
      on conflict do nothing
      returning ${columns}, false as is_fresh
    )
    select ${columns}, is_fresh, true as created from created
    union all
    select ${columns}, is_fresh, false as created from renewed
    union all
    select ${columns}, is_fresh, false as created from live where state = 'ready'`,
  // The statement wrote something only if the file is pending, because it only reads a READY file.
  ([row]) => row?.state === 'pending',
);

interface ConflictParams extends RowKey {
  fingerprint: Buffer;
  /** The range of the pending slots for this kind of upload. */
  lowestSlot: number;
  highestSlot: number;
}

interface Conflict {
  /** The row of a deleted file, or of a file with other content, has the key. */
  key_taken: boolean;
  /**
   * A concurrent call has just created the file, or given it a slot. The next try finds the file and needs no
   * free slot.
   */
  created_concurrently: boolean;
  free_slot: number | null;
}

/**
 * Explains why `reserve` returned no row, and finds a free slot for the next try: a random one, so that
 * concurrent calls find different slots. The slot is taken from an array and not by `order by random()`. With
 * `enable_sort = off` (../connection/session-settings.ts), Postgres before version 18 gives a sort a cost of 10^10. At
 * such a cost Postgres compiles the statement at each run, unless `jit` is off. No statement should depend on that, so
 * test/postgres/statement-costs.test.ts limits the costs.
 *
 * Also releases the slots (`pending_slot` in ../schema.ts) of pending uploads and deleted files whose URLs have
 * expired, because only uploads with a valid URL count against the cap.
 */
export const explainConflict = prepare<ConflictParams, Conflict>(
  'explain_conflict',
  ({ userId, s3Key, fingerprint, lowestSlot, highestSlot }) => sql`
    with expired as (${expiredSlots(userId)}),
    released as (${releaseExpired})
    select
      exists (
        select from files
        where user_id = ${userId} and s3_key = ${s3Key}
          and (fingerprint <> ${fingerprint} or state = 'deleted')) as key_taken,
      exists (
        select from files
        where user_id = ${userId} and fingerprint = ${fingerprint} and state <> 'deleted'
          and (pending_slot is not null or state = 'ready')) as created_concurrently,
      (
        select (array_agg(slot))[1 + floor(random() * count(*))::int]
        from generate_series(${lowestSlot}::int, ${highestSlot}::int) as slot
        where slot not in (${takenSlots(userId)} and url_expire_at > now())) as free_slot`,
  // Whether the rows show that the statement wrote something: they never do. The statement writes only if it releases a
  // slot, and the returned row does not show this. So its success proves nothing to the circuit breaker of writes.
  () => false,
);

type UpdateParams = RowKey & { filename: string; mimeType: string; size: number | null };

export const updateIntent = prepare<UpdateParams>(
  'update_intent',
  ({ userId, s3Key, filename, mimeType, size }) => sql`
    update files set filename = ${filename}, mime_type = ${mimeType}, size = ${size}, lost = false,
      type_changed = type_changed or mime_type <> ${mimeType}
    where user_id = ${userId} and s3_key = ${s3Key} and ${isPending}`,
);

/** `updateIntent` for a database on which migration 0002 has not run yet. Its table has no column `type_changed`. */
export const updateIntentBefore0002 = prepare<UpdateParams>(
  'update_intent_before_0002',
  ({ userId, s3Key, filename, mimeType, size }) => sql`
    update files set filename = ${filename}, mime_type = ${mimeType}, size = ${size}, lost = false
    where user_id = ${userId} and s3_key = ${s3Key} and ${isPending}`,
);
