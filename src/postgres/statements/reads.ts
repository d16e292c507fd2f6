/** Statements that read files for callers: one file, or a page of a list. */
import { sql } from 'kysely';
import type { FileRow } from '../file-row.ts';
import { columns, type Freshness, isFresh, type RowKey } from './expressions.ts';
import { prepare, type Sql } from './prepared.ts';

export const find = prepare<RowKey & Freshness, FileRow>(
  'find',
  ({ userId, s3Key, verificationTtlSeconds }) => sql`
    select ${columns}, ${isFresh(verificationTtlSeconds)}
    from files
    where user_id = ${userId} and s3_key = ${s3Key} and state <> 'deleted'`,
);

/** The first page also has pending files. */
interface FirstPage {
  pendingLimit: number;
}

/** A further page begins after the last file of the page before. */
interface NextPage {
  afterTime: Date;
  afterKey: string;
}

/**
 * The row comparison starts in the index where the page starts: 0.3 ms at page 9,000 of a million files.
 * Written as `a < $1 or (a = $1 and b < $2)`, the statement reads all rows before the page: 466 ms.
 */
const isAfter = (afterTime: Sql, afterKey: Sql) => sql`(last_modified, s3_key) < (${afterTime}, ${afterKey})`;

interface ListParams extends Freshness {
  userId: string;
  filenamePrefix: string;
  limit: number;
}

/** The first page of READY files and, in the same round trip, the newest pending files. */
export const listFirstPage = prepare<ListParams & FirstPage, FileRow>(
  'list_first_page',
  ({ userId, filenamePrefix, verificationTtlSeconds, limit, pendingLimit }) => sql`
    (select ${columns}, ${isFresh(verificationTtlSeconds)}
     from files
     where user_id = ${userId} and state = 'ready' and starts_with(filename, ${filenamePrefix})
     order by last_modified desc, s3_key desc
     limit ${limit})
    union all
    (select ${columns}, false as is_fresh
     from files
     where user_id = ${userId} and state = 'pending' and starts_with(filename, ${filenamePrefix})
     order by create_time desc
     limit ${pendingLimit})`,
);

export const listNextPage = prepare<ListParams & NextPage, FileRow>(
  'list_next_page',
  ({ userId, filenamePrefix, verificationTtlSeconds, limit, afterTime, afterKey }) => sql`
    select ${columns}, ${isFresh(verificationTtlSeconds)}
    from files
    where user_id = ${userId} and state = 'ready' and starts_with(filename, ${filenamePrefix})
      and ${isAfter(afterTime, afterKey)}
    order by last_modified desc, s3_key desc
    limit ${limit}`,
);

/** A row of a page of a list with a prefix. */
export type ExaminedRow = FileRow & {
  /** Whether the filename has the prefix. `false`: the row is only returned to tell how far the search came. */
  matches: boolean;
  /** The search examined `examinedMax` rows, and this row is the last of them. */
  is_last_examined: boolean;
};

type SearchParams = ListParams & { examinedMax: number };

/**
 * Selects the files with the prefix among the next `examinedMax` files, and the last examined file in any case.
 *
 * `row_number()` counts the rows as the index delivers them. So the search ends as soon as the page is full,
 * and a prefix that no file has costs 6 ms. The alternative finds the last examined file first, with the
 * index alone: that costs half as much, but also when the page is full at once. `rows unbounded preceding`:
 * before version 16, Postgres otherwise reads one row more.
 */
const search = (
  { userId, filenamePrefix, verificationTtlSeconds, limit, examinedMax }: Record<keyof SearchParams, Sql>,
  start: Sql,
) => sql`
    select ${columns}, is_fresh,
      starts_with(filename, ${filenamePrefix}) as matches,
      position = ${examinedMax} as is_last_examined
    from (
      select ${columns}, ${isFresh(verificationTtlSeconds)},
        row_number() over (order by last_modified desc, s3_key desc rows unbounded preceding) as position
      from files
      where user_id = ${userId} and state = 'ready' and ${start}
      order by last_modified desc, s3_key desc
      limit ${examinedMax}) as examined
    where starts_with(filename, ${filenamePrefix}) or position = ${examinedMax}
    order by last_modified desc, s3_key desc
    limit ${limit}`;

/** Like `listFirstPage`, for a prefix. Examines at most `pendingExaminedMax` pending files, too. */
export const searchFirstPage = prepare<
  SearchParams & FirstPage & { pendingExaminedMax: number },
  ExaminedRow
>(
  'search_first_page',
  (params) => sql`
    (${search(params, sql`true`)})
    union all
    (select ${columns}, false as is_fresh, true as matches, false as is_last_examined
     from (
       select ${columns}
       from files
       where user_id = ${params.userId} and state = 'pending'
       order by create_time desc
       limit ${params.pendingExaminedMax}) as newest
     where starts_with(filename, ${params.filenamePrefix})
     order by create_time desc
     limit ${params.pendingLimit})`,
);

export const searchNextPage = prepare<SearchParams & NextPage, ExaminedRow>('search_next_page', (params) =>
  search(params, isAfter(params.afterTime, params.afterKey)),
);

/** Returns no rows. Fails if the database is missing, or has not the schema that this release needs. */
export const schemaCheck = prepare<Record<never, never>>(
  'schema_check',
  () => sql`
    select ${columns}, url_expire_at, due_at, sweep_attempts, pending_slot, part_size, part_md5s, upload_id
    from files
    limit 0`,
);
