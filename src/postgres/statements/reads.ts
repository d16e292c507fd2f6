/** Statements that read files for callers: one file, or a page of a list. */
import { type Kysely, type RawBuilder, type SqlBool, sql } from 'kysely';
import type { FileRow } from '../file-row.ts';
import type { Schema } from '../schema.ts';
import { COLUMNS, type Freshness, isFresh, type RowKey } from './expressions.ts';
import { type Param, prepare } from './prepared.ts';

export const find = prepare<RowKey & Freshness>()<FileRow>('find', (db, param) =>
  db
    .selectFrom('files')
    .select([...COLUMNS, isFresh(param('verificationTtlSeconds'))])
    .where('user_id', '=', param('userId'))
    .where('s3_key', '=', param('s3Key'))
    .where('state', '<>', 'deleted'),
);

interface ListParams extends Freshness {
  userId: string;
  filenamePrefix: string;
  limit: number;
}

/** The first page of READY files and, in the same round trip, the newest pending files. */
export const listFirstPage = prepare<ListParams & { pendingLimit: number }>()<FileRow>(
  'list_first_page',
  (db, param) =>
    db
      .selectFrom((qb) =>
        qb
          .selectFrom('files')
          .select([...COLUMNS, isFresh(param('verificationTtlSeconds'))])
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
              .select([...COLUMNS, sql<boolean | null>`false`.as('is_fresh')])
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

// The row comparison starts in the index where the page starts: 0.3 ms at page 9,000 of a million files.
// Written as `a < $1 or (a = $1 and b < $2)`, the statement reads all rows before the page: 466 ms.
export const listNextPage = prepare<ListParams & { afterTime: Date; afterKey: string }>()<FileRow>(
  'list_next_page',
  (db, param) =>
    db
      .selectFrom('files')
      .select([...COLUMNS, isFresh(param('verificationTtlSeconds'))])
      .where('user_id', '=', param('userId'))
      .where('state', '=', 'ready')
      .where(sql<SqlBool>`(last_modified, s3_key) < (${param('afterTime')}, ${param('afterKey')})`)
      .where(sql<SqlBool>`starts_with(filename, ${param('filenamePrefix')})`)
      .orderBy('last_modified', 'desc')
      .orderBy('s3_key', 'desc')
      .limit(param('limit')),
);

/** A row of a page of a list with a prefix. */
export type ExaminedRow = FileRow & {
  /** Whether the filename has the prefix. `false`: the row is only returned to tell how far the search came. */
  matches: boolean;
  /** The search examined `examinedMax` rows, and this row is the last of them. */
  is_last_examined: boolean;
};

type SearchParams = ListParams & { examinedMax: number };

/** Gives the pending half of the union the same columns as the READY half. */
const matchColumns = [sql<boolean>`true`.as('matches'), sql<boolean>`false`.as('is_last_examined')] as const;

/**
 * Selects the files with the prefix among the next `examinedMax` files, and the last examined file in any case.
 *
 * `row_number()` counts the rows as the index delivers them. So the search ends as soon as the page is full,
 * and a prefix that no file has costs 6 ms. The alternative finds the last examined file first, with the
 * index alone: that costs half as much, but also when the page is full at once.
 */
function matchingOf(
  db: Kysely<Schema>,
  param: Param<SearchParams>,
  startAfter: RawBuilder<SqlBool> = sql<SqlBool>`true`,
) {
  const prefix = param('filenamePrefix');
  return db
    .selectFrom((qb) =>
      qb
        .selectFrom('files')
        .select([...COLUMNS, isFresh(param('verificationTtlSeconds'))])
        .select(sql<string>`row_number() over (order by last_modified desc, s3_key desc)`.as('position'))
        .where('user_id', '=', param('userId'))
        .where('state', '=', 'ready')
        .where(startAfter)
        .orderBy('last_modified', 'desc')
        .orderBy('s3_key', 'desc')
        .limit(param('examinedMax'))
        .as('examined'),
    )
    .select([...COLUMNS, 'is_fresh'])
    .select([
      sql<boolean>`starts_with(filename, ${prefix})`.as('matches'),
      sql<boolean>`position = ${param('examinedMax')}`.as('is_last_examined'),
    ])
    .where(sql<SqlBool>`(starts_with(filename, ${prefix}) or position = ${param('examinedMax')})`)
    .orderBy('last_modified', 'desc')
    .orderBy('s3_key', 'desc')
    .limit(param('limit'));
}

/** Like `listFirstPage`, for a prefix. Examines at most `examinedMax` READY files and as many pending files. */
export const searchFirstPage = prepare<SearchParams & { pendingLimit: number }>()<ExaminedRow>(
  'search_first_page',
  (db, param) =>
    db
      .selectFrom(matchingOf(db, param).as('ready'))
      .selectAll()
      .unionAll((union) =>
        union
          .selectFrom((qb) =>
            qb
              .selectFrom((pending) =>
                pending
                  .selectFrom('files')
                  .select(COLUMNS)
                  .where('user_id', '=', param('userId'))
                  .where('state', '=', 'pending')
                  .orderBy('create_time', 'desc')
                  .limit(param('examinedMax'))
                  .as('newest'),
              )
              .select([...COLUMNS, sql<boolean | null>`false`.as('is_fresh'), ...matchColumns])
              .where(sql<SqlBool>`starts_with(filename, ${param('filenamePrefix')})`)
              .orderBy('create_time', 'desc')
              .limit(param('pendingLimit'))
              .as('pending'),
          )
          .selectAll(),
      ),
);

export const searchNextPage = prepare<SearchParams & { afterTime: Date; afterKey: string }>()<ExaminedRow>(
  'search_next_page',
  (db, param) =>
    matchingOf(
      db,
      param,
      sql<SqlBool>`(last_modified, s3_key) < (${param('afterTime')}, ${param('afterKey')})`,
    ),
);

/** Returns no rows. Fails if the database is missing, or has not the schema that this release needs. */
export const schemaCheck = prepare<Record<never, never>>()('schema_check', (db) =>
  db
    .selectFrom('files')
    .select([
      ...COLUMNS,
      'url_expire_at',
      'due_at',
      'sweep_attempts',
      'pending_slot',
      'part_size',
      'part_md5s',
      'upload_id',
    ])
    .limit(0),
);
