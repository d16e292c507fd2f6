/**
 * Statements that create a pending file or find the existing one: `reserve`, and `explainConflict` and
 * `updateIntent`, which follow it.
 */
import { sql } from 'kysely';
import type { FileRow } from '../file-row.ts';
import {
  after,
  COLUMNS,
  type Freshness,
  firstPause,
  isFresh,
  isPending,
  type RowKey,
} from './expressions.ts';
import { prepare } from './prepared.ts';

/**
 * Returns the user's live file with this fingerprint, or creates a pending one. A pending file is renewed:
 * its URL may be used for `lifeSeconds` again. Returns no row if another file has the key, if the slot is
 * taken, or if a concurrent call creates the same file. `explainConflict` finds the reason.
 */
export const reserve = prepare<
  RowKey &
    Freshness & {
      fingerprint: Buffer;
      filename: string;
      mimeType: string;
      size: number | null;
      partSize: number | null;
      partMd5s: Buffer | null;
      /**
       * The lifetime of the URL, or of the multipart upload, that the caller hands out after this statement.
       */
      lifeSeconds: number;
      /** The pending slot for the file if it has none. */
      slot: number;
    }
>()<FileRow & { created: boolean }>('reserve', (db, param) =>
  db
    .with('live', (qb) =>
      qb
        .selectFrom('files')
        .select([...COLUMNS, isFresh(param('verificationTtlSeconds'))])
        .where('user_id', '=', param('userId'))
        .where('fingerprint', '=', param('fingerprint'))
        .where('state', '<>', 'deleted'),
    )
    .with('renewed', (qb) =>
      qb
        .updateTable('files')
        .set({
          url_expire_at: sql`greatest(url_expire_at, ${after(param('lifeSeconds'))})`,
          // A lost multipart file has no part data any more: `markReady` removed it.
          part_size: sql`coalesce(part_size, ${param('partSize')}::bigint)`,
          part_md5s: sql`coalesce(part_md5s, ${param('partMd5s')}::bytea)`,
          // `explainConflict` takes away the slots of uploads whose URL has expired.
          pending_slot: sql`coalesce(pending_slot, ${param('slot')}::smallint)`,
          due_at: firstPause,
          sweep_attempts: 0,
        })
        .where('user_id', '=', param('userId'))
        .where('fingerprint', '=', param('fingerprint'))
        .where(isPending)
        .returning([...COLUMNS, sql<boolean | null>`false`.as('is_fresh')]),
    )
    .with('created', (qb) =>
      qb
        .insertInto('files')
        .columns([
          'user_id',
          's3_key',
          'state',
          'fingerprint',
          'filename',
          'mime_type',
          'size',
          'part_size',
          'part_md5s',
          'url_expire_at',
          'due_at',
          'pending_slot',
        ])
        .expression(
          qb
            .selectNoFrom([
              param('userId').as('user_id'),
              param('s3Key').as('s3_key'),
              sql<'pending'>`'pending'`.as('state'),
              sql<Buffer>`${param('fingerprint')}::bytea`.as('fingerprint'),
              param('filename').as('filename'),
              param('mimeType').as('mime_type'),
              sql<string>`${param('size')}::bigint`.as('size'),
              sql<string>`${param('partSize')}::bigint`.as('part_size'),
              sql<Buffer>`${param('partMd5s')}::bytea`.as('part_md5s'),
              after(param('lifeSeconds')).as('url_expire_at'),
              firstPause.as('due_at'),
              sql<number>`${param('slot')}::smallint`.as('pending_slot'),
            ])
            .where(({ not, exists, selectFrom }) => not(exists(selectFrom('live').select('s3_key')))),
        )
        // Without a target, because the conflict can be on the key, on the slot, or on the content (a
        // concurrent create).
        .onConflict((conflict) => conflict.doNothing())
        .returning([...COLUMNS, sql<boolean | null>`false`.as('is_fresh')]),
    )
    .selectFrom('created')
    .select([...COLUMNS, 'is_fresh', sql<boolean>`true`.as('created')])
    .unionAll((qb) =>
      qb.selectFrom('renewed').select([...COLUMNS, 'is_fresh', sql<boolean>`false`.as('created')]),
    )
    .unionAll((qb) =>
      qb
        .selectFrom('live')
        .select([...COLUMNS, 'is_fresh', sql<boolean>`false`.as('created')])
        .where('state', '=', 'ready'),
    ),
);

/**
 * Explains why `reserve` returned no row, and finds a free slot for the next try. Also releases the pending
 * slots whose URLs have expired, those of tombstones included, because only uploads with a valid URL count
 * against the cap.
 */
export const explainConflict = prepare<
  RowKey & {
    fingerprint: Buffer;
    /** The range of the pending slots for this kind of upload. */
    lowestSlot: number;
    highestSlot: number;
  }
>()<{
  /** A tombstone or a file with other content has the key. */
  key_taken: boolean;
  /**
   * A concurrent call has just created the file, or given it a slot. The next try finds the file and needs no
   * free slot.
   */
  created_concurrently: boolean;
  free_slot: number | null;
}>('explain_conflict', (db, param) =>
  db
    .with('released', (qb) =>
      qb
        .updateTable('files')
        .set({ pending_slot: null })
        .where('user_id', '=', param('userId'))
        .where('pending_slot', 'is not', null)
        .where('url_expire_at', '<=', sql<Date>`now()`)
        .returning('s3_key'),
    )
    .selectNoFrom([
      sql<boolean>`exists (
        select from files
        where user_id = ${param('userId')} and s3_key = ${param('s3Key')}
          and (fingerprint <> ${param('fingerprint')} or state = 'deleted'))`.as('key_taken'),
      sql<boolean>`exists (
        select from files
        where user_id = ${param('userId')} and fingerprint = ${param('fingerprint')} and state <> 'deleted'
          and (pending_slot is not null or state = 'ready'))`.as('created_concurrently'),
      // Random, so that concurrent calls find different slots.
      sql<number | null>`(
        select slot from generate_series(${param('lowestSlot')}::int, ${param('highestSlot')}::int) as slot
        where not exists (
          select from files where user_id = ${param('userId')} and files.pending_slot = slot.slot and url_expire_at > now())
        order by random() limit 1)`.as('free_slot'),
    ]),
);

export const updateIntent = prepare<RowKey & { filename: string; mimeType: string; size: number | null }>()(
  'update_intent',
  (db, param) =>
    db
      .updateTable('files')
      .set({
        filename: param('filename'),
        mime_type: param('mimeType'),
        size: sql`${param('size')}::bigint`,
        lost: false,
      })
      .where('user_id', '=', param('userId'))
      .where('s3_key', '=', param('s3Key'))
      .where(isPending),
);
