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

/** Making a file, or finding the one that is there: `reserve` and what it needs when it is refused. */

export const reserve = prepare<
  RowKey &
    Freshness & {
      fingerprint: Buffer;
      filename: string;
      mimeType: string;
      size: number | null;
      partSize: number | null;
      partMd5s: Buffer | null;
      /** How long what is handed out now may be used. */
      lifeSeconds: number;
      /** One of the user's for uploads of this kind, which every pending one holds one of. */
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
          // A lost file in parts has them no longer.
          part_size: sql`coalesce(part_size, ${param('partSize')}::bigint)`,
          part_md5s: sql`coalesce(part_md5s, ${param('partMd5s')}::bytea)`,
          // One that was long without a living URL may have lost its own.
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
        // Whichever index objects: the key or the slot is taken, or a competitor was first.
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
 * Why a reservation found nothing and made nothing, and a slot with which the
 * next try can do better. Slots whose URLs have died are released, of tombstones
 * too: only living ones count.
 */
export const explainConflict = prepare<
  RowKey & {
    fingerprint: Buffer;
    /** The range of the slots that it may hold. */
    lowestSlot: number;
    highestSlot: number;
  }
>()<{
  /** By a tombstone, or by other content. */
  key_taken: boolean;
  /** A competitor has just made the file, or given it a slot: the next try finds it, and needs none. */
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
      // At random: whoever looks for one at the same time should not find the same.
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
