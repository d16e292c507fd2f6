/** Statements that read files for callers: one file, or a page of a list. */
import { sql } from 'kysely';
import type { FileRow } from '../file-row.ts';
import {
  columns,
  type Freshness,
  isFresh,
  isWanted,
  qualifiedColumns,
  type RowKey,
  rowsWanted,
} from './expressions.ts';
import { prepare, type Sql } from './prepared.ts';

export const find = prepare<RowKey & Freshness, FileRow>(
  'find',
  ({ userId, s3Key, verificationTtlSeconds }) => sql`
    select ${columns}, ${isFresh(verificationTtlSeconds)}
    from files
    where user_id = ${userId} and s3_key = ${s3Key} and state <> 'deleted'`,
);

export const findMany = prepare<{ userId: string; s3Keys: readonly string[] } & Freshness, FileRow>(
  'find_many',
  ({ userId, s3Keys, verificationTtlSeconds }) => sql`
    select ${qualifiedColumns('files')}, ${isFresh(verificationTtlSeconds)}
    from ${rowsWanted(userId, s3Keys)} join files on ${isWanted}
    where state <> 'deleted'`,
);

/**
 * Returns whether creates announced different types for the file while it was pending. Reads `type_changed` by way of
 * JSON, because the schema of the release before has no such column, and this release must work on that schema. JSON
 * costs more than reading a column, but the statement runs only if S3 reports another type than the last create
 * announced.
 */
export const hasSeveralTypes = prepare<RowKey, { several_types: boolean }>(
  'has_several_types',
  ({ userId, s3Key }) => sql`
    select coalesce((to_jsonb(files) ->> 'type_changed')::boolean, false) as several_types
    from files
    where user_id = ${userId} and s3_key = ${s3Key}`,
);

/** Only the first page of a list has pending files, too. */
interface FirstPage {
  pendingLimit: number;
}

/** A further page begins after the last file of the page before. */
interface NextPage {
  afterTime: Date;
  afterKey: string;
}

/**
 * With a comparison of rows, Postgres begins to read the index where the page begins: page 9,000 of a million files
 * takes 0.3 ms. With `a < $1 or (a = $1 and b < $2)`, Postgres reads all rows before the page: it takes 466 ms.
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
  /** Whether the filename has the prefix. A row without it only tells how far the search came. */
  matches: boolean;
  /** The search examined `examinedMax` rows, and this row is the last of them. */
  is_last_examined: boolean;
};

type SearchParams = ListParams & { examinedMax: number };

/**
 * Selects the files with the prefix among the next `examinedMax` files, and the last examined file in any
 * case.
 *
 * `row_number()` counts the rows as the index delivers them. So the search ends as soon as the page is full,
 * and a search for a prefix that no file has takes 6 ms (10,000 rows). Another statement could find the last
 * examined file first, with the index alone. That statement was rejected: it takes about half of the 6 ms for
 * every page, even if the first rows fill the page. Without `rows unbounded preceding`, Postgres before
 * version 16 reads one more row.
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

/**
 * Like `listFirstPage`, but examines at most `examinedMax` READY files and `pendingExaminedMax` pending files. So a
 * prefix that few files have does not make Postgres read all files of the user.
 */
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
