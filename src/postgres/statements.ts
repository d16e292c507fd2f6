import { type Expression, type RawBuilder, type SqlBool, sql } from 'kysely';
import type { FileRow } from './file-row.ts';
import { prepare } from './prepared.ts';

/** Seconds of the protocol, given to the statements that need them. */
interface Trust {
  trustSeconds: number;
}
interface Settling {
  longestUploadSeconds: number;
}
interface Row {
  userId: string;
  s3Key: string;
}

const seconds = (value: Expression<number>): RawBuilder<Date> =>
  sql`(${value}::double precision * interval '1 second')`;

/** `now()` is the only clock for rows. */
const after = (value: Expression<number>): RawBuilder<Date> => sql`now() + ${seconds(value)}`;

/** The columns of a `FileRow`. */
const COLUMNS = [
  'user_id',
  's3_key',
  'state',
  'filename',
  'mime_type',
  'fingerprint',
  'size',
  'etag',
  'last_modified',
  'seen_at',
  'create_time',
  'lost',
] as const;

const trusted = (trustSeconds: Expression<number>) =>
  sql<boolean | null>`seen_at > now() - ${seconds(trustSeconds)}`.as('trusted');

const settled = (longestUploadSeconds: Expression<number>): RawBuilder<SqlBool> =>
  sql`url_expire_at <= now() - ${seconds(longestUploadSeconds)}`;

// The sweeper's pauses: 30 s, 2 min, 8 min, 32 min, 2 h, 9 h; the next is past
// the settling of an ordinary URL (25 h). Seven looks at an upload that never comes.
const FIRST_PAUSE_SECONDS = 30;
const PAUSE_FACTOR = 4;
const PAUSE_MAX_SECONDS = 86_400;
const firstPause = sql<Date>`now() + ${sql.lit(FIRST_PAUSE_SECONDS)} * interval '1 second'`;

export const reserve = prepare<
  Row &
    Trust & {
      fingerprint: Buffer;
      filename: string;
      mimeType: string;
      size: number | null;
      urlSeconds: number;
      /** One of the user's, which every pending upload holds one of. */
      slot: number;
    }
>()<FileRow & { created: boolean }>('reserve', (db, param) =>
  db
    .with('live', (qb) =>
      qb
        .selectFrom('files')
        .select([...COLUMNS, trusted(param('trustSeconds'))])
        .where('user_id', '=', param('userId'))
        .where('fingerprint', '=', param('fingerprint'))
        .where('state', '<>', 'deleted'),
    )
    .with('renewed', (qb) =>
      qb
        .updateTable('files')
        .set({
          url_expire_at: sql`greatest(url_expire_at, ${after(param('urlSeconds'))})`,
          // One that was long without a living URL may have lost its own.
          slot: sql`coalesce(slot, ${param('slot')}::smallint)`,
          due_at: firstPause,
          looks: 0,
        })
        .where('user_id', '=', param('userId'))
        .where('fingerprint', '=', param('fingerprint'))
        .where('state', '=', 'pending')
        .returning([...COLUMNS, sql<boolean | null>`false`.as('trusted')]),
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
          'url_expire_at',
          'due_at',
          'slot',
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
              after(param('urlSeconds')).as('url_expire_at'),
              firstPause.as('due_at'),
              sql<number>`${param('slot')}::smallint`.as('slot'),
            ])
            .where(({ not, exists, selectFrom }) => not(exists(selectFrom('live').select('s3_key')))),
        )
        // Whichever index objects: the key or the slot is taken, or a competitor was first.
        .onConflict((conflict) => conflict.doNothing())
        .returning([...COLUMNS, sql<boolean | null>`false`.as('trusted')]),
    )
    .selectFrom('created')
    .select([...COLUMNS, 'trusted', sql<boolean>`true`.as('created')])
    .unionAll((qb) =>
      qb.selectFrom('renewed').select([...COLUMNS, 'trusted', sql<boolean>`false`.as('created')]),
    )
    .unionAll((qb) =>
      qb
        .selectFrom('live')
        .select([...COLUMNS, 'trusted', sql<boolean>`false`.as('created')])
        .where('state', '=', 'ready'),
    ),
);

/**
 * Why a reservation found nothing and made nothing, and a slot with which the
 * next try can do better. Slots whose URLs have died are released: only living
 * ones count.
 */
export const obstacles = prepare<Row & { fingerprint: Buffer; slots: number }>()<{
  /** By a tombstone, or by other content. */
  key_taken: boolean;
  /** A competitor has just made the file, or given it a slot: the next try finds it, and needs none. */
  made_meanwhile: boolean;
  free_slot: number | null;
}>('obstacles', (db, param) =>
  db
    .with('released', (qb) =>
      qb
        .updateTable('files')
        .set({ slot: null })
        .where('user_id', '=', param('userId'))
        .where('slot', 'is not', null)
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
          and (slot is not null or state = 'ready'))`.as('made_meanwhile'),
      // At random: whoever looks for one at the same time should not find the same.
      sql<number | null>`(
        select slot from generate_series(1, ${param('slots')}::int) as slot
        where not exists (
          select from files where user_id = ${param('userId')} and files.slot = slot.slot and url_expire_at > now())
        order by random() limit 1)`.as('free_slot'),
    ]),
);

export const adopt = prepare<Row & { filename: string; mimeType: string; size: number | null }>()(
  'adopt',
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
      .where('state', '=', 'pending'),
);

export const find = prepare<Row & Trust>()<FileRow>('find', (db, param) =>
  db
    .selectFrom('files')
    .select([...COLUMNS, trusted(param('trustSeconds'))])
    .where('user_id', '=', param('userId'))
    .where('s3_key', '=', param('s3Key'))
    .where('state', '<>', 'deleted'),
);

interface ListParams extends Trust {
  userId: string;
  filenamePrefix: string;
  limit: number;
}

/** A first page and, in the same round trip, the newest pending uploads. */
export const listFirstPage = prepare<ListParams & { pendingLimit: number }>()<FileRow>(
  'list_first_page',
  (db, param) =>
    db
      .selectFrom((qb) =>
        qb
          .selectFrom('files')
          .select([...COLUMNS, trusted(param('trustSeconds'))])
          .where('user_id', '=', param('userId'))
          .where('state', '=', 'ready')
          .where(sql<SqlBool>`starts_with(filename, ${param('filenamePrefix')})`)
          .orderBy('last_modified', 'desc')
          .orderBy('s3_key', 'desc')
          .limit(param('limit'))
          .as('ready'),
      )
      .selectAll()
      .unionAll((union) =>
        union
          .selectFrom((qb) =>
            qb
              .selectFrom('files')
              .select([...COLUMNS, sql<boolean | null>`false`.as('trusted')])
              .where('user_id', '=', param('userId'))
              .where('state', '=', 'pending')
              .where(sql<SqlBool>`starts_with(filename, ${param('filenamePrefix')})`)
              .orderBy('create_time', 'desc')
              .limit(param('pendingLimit'))
              .as('pending'),
          )
          .selectAll(),
      ),
);

// The row comparison walks the index: 0.3 ms at page 9,000 of a million files.
// Written as `a < $1 or (a = $1 and b < $2)` it reads all before it: 466 ms (design, §6).
export const listNextPage = prepare<ListParams & { afterTime: Date; afterKey: string }>()<FileRow>(
  'list_next_page',
  (db, param) =>
    db
      .selectFrom('files')
      .select([...COLUMNS, trusted(param('trustSeconds'))])
      .where('user_id', '=', param('userId'))
      .where('state', '=', 'ready')
      .where(sql<SqlBool>`(last_modified, s3_key) < (${param('afterTime')}, ${param('afterKey')})`)
      .where(sql<SqlBool>`starts_with(filename, ${param('filenamePrefix')})`)
      .orderBy('last_modified', 'desc')
      .orderBy('s3_key', 'desc')
      .limit(param('limit')),
);

export const markReady = prepare<
  Row & { size: number; etag: string; mimeType: string; lastModified: Date }
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
      seen_at: sql`now()`,
      lost: false,
      due_at: null,
      looks: 0,
      slot: null,
    })
    .where('user_id', '=', param('userId'))
    .where('s3_key', '=', param('s3Key'))
    .where('state', '<>', 'deleted')
    .returning([...COLUMNS, sql<boolean | null>`true`.as('trusted')]),
);

export const markLost = prepare<Row & { seenAt: Date }>()('mark_lost', (db, param) =>
  db
    .updateTable('files')
    .set({
      state: 'pending',
      lost: true,
      // It is kept as long as an upload that was asked for just now: a wrong
      // bucket name or a late restore must not cost the rows.
      url_expire_at: sql`greatest(url_expire_at, now())`,
      due_at: firstPause,
      looks: 0,
    })
    .where('user_id', '=', param('userId'))
    .where('s3_key', '=', param('s3Key'))
    .where('state', '=', 'ready')
    // Or somebody else's younger look has found it.
    .where('seen_at', '<=', param('seenAt')),
);

export const markDeleted = prepare<Row>()('mark_deleted', (db, param) =>
  db
    .updateTable('files')
    .set({ state: 'deleted', due_at: firstPause, looks: 0, slot: null })
    .where('user_id', '=', param('userId'))
    .where('s3_key', '=', param('s3Key'))
    .where('state', '<>', 'deleted')
    .returning('s3_key'),
);

/**
 * More than a sweeper claims at once, and what a kept plan reckons with: `limit $1`
 * alone may be a tenth of all that is due to it, and then it reads the whole table
 * for each batch (half a million rows due after an outage: 0.5 s). So does, on
 * 120,000 rows, a plan for 1,000.
 */
const CLAIM_ROWS_MAX = 100;

/** The one statement across users. */
export const claimDue = prepare<Settling & { limit: number; leaseSeconds: number }>()<
  FileRow & { settled: boolean }
>('claim_due', (db, param) =>
  db
    .with('due', (qb) =>
      qb
        .selectFrom((due) =>
          due
            .selectFrom('files')
            .select(['user_id', 's3_key'])
            .where('due_at', '<=', sql<Date>`now()`)
            .orderBy('due_at')
            .limit(param('limit'))
            .forUpdate()
            .skipLocked()
            .as('batch'),
        )
        .select(['user_id', 's3_key'])
        .limit(sql.lit(CLAIM_ROWS_MAX)),
    )
    .updateTable('files')
    .from('due')
    .set({ due_at: after(param('leaseSeconds')) })
    .whereRef('files.user_id', '=', 'due.user_id')
    .whereRef('files.s3_key', '=', 'due.s3_key')
    .returning([
      'files.user_id',
      'files.s3_key',
      'state',
      'filename',
      'mime_type',
      'fingerprint',
      'size',
      'etag',
      'last_modified',
      'seen_at',
      'create_time',
      'lost',
      sql<boolean | null>`false`.as('trusted'),
      sql<boolean>`${settled(param('longestUploadSeconds'))}`.as('settled'),
    ]),
);

export const postpone = prepare<Row & Settling>()('postpone', (db, param) =>
  db
    .updateTable('files')
    .set({
      looks: sql`least(looks + 1, 100)`,
      // least() passes over null: a row that is settled already has only the pause.
      due_at: sql`least(
        now() + least(${sql.lit(FIRST_PAUSE_SECONDS)} * power(${sql.lit(PAUSE_FACTOR)}, least(looks + 1, 20)), ${sql.lit(PAUSE_MAX_SECONDS)}) * interval '1 second',
        case when not ${settled(param('longestUploadSeconds'))} then url_expire_at + ${seconds(param('longestUploadSeconds'))} end)`,
    })
    .where('user_id', '=', param('userId'))
    .where('s3_key', '=', param('s3Key'))
    .where('due_at', 'is not', null),
);

export const forget = prepare<Row & Settling>()('forget', (db, param) =>
  db
    .deleteFrom('files')
    .where('user_id', '=', param('userId'))
    .where('s3_key', '=', param('s3Key'))
    .where('state', 'in', ['pending', 'deleted'])
    .where(settled(param('longestUploadSeconds')))
    .returning('s3_key'),
);

export const oldestOverdue = prepare<Record<never, never>>()('oldest_overdue', (db) =>
  db
    .selectFrom('files')
    .select(sql<number>`greatest(extract(epoch from now() - min(due_at)), 0)::double precision`.as('seconds'))
    .where('due_at', 'is not', null),
);

/** Answers nothing; fails where there is no database, or no schema in it. */
export const schemaCheck = prepare<Record<never, never>>()('schema_check', (db) =>
  db.selectFrom('files').select('due_at').limit(0),
);
