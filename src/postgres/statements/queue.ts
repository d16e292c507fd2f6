/**
 * The rows are two queues: of the sweeper, which verifies uploads and removes deleted files (`due_at`), and of the
 * dispatcher, which delivers events (`event_due_at`). This file makes the statements that both queues share. Each queue
 * has two indexes: on its column, and on the user and its column.
 */
import { sql } from 'kysely';
import type { FileRow } from '../file-row.ts';
import { after, columns, seconds } from './expressions.ts';
import { type Prepared, prepare, type Sql } from './prepared.ts';

/**
 * A constant limit in the SQL, at least the number of rows that one statement leases or changes. It exists so that
 * Postgres's planner expects few rows. For `limit $1`, a generic plan expects a tenth of all due rows, and then
 * reads the whole table for each lease: 0.5 s with half a million rows due after an outage. With a constant of
 * 1,000, the plan also reads the whole table if the table has 120,000 rows.
 */
export const ROWS_MAX = 100;

/**
 * The part of a lease that users share evenly, in turns. The turns go round all users: after the last user comes the
 * first one, in the same lease. The rest of the lease goes to the rows that have been due longest, so that no row waits
 * for a whole round. With a hundred thousand users whose rows are not due yet, a round takes a hundred leases.
 */
const FAIR_SHARE = 0.8;

/**
 * A lease examines at most this many users. Each takes one search of an index, and all together take 20 ms. If only a few
 * of a thousand users in a row have due rows, each of these gets more rows in its turn than users among many others.
 */
const USERS_EXAMINED_MAX = 1_000;

/**
 * The next search for due rows begins at a `due_at` at least this long before now, because a search does not see rows
 * that are not committed yet. A statement sets `due_at` to a time before its own start by a millisecond at most, and it
 * usually commits at most 2.5 s after its start (`statement_timeout`). So the `due_at` of a row that this search does not
 * see is later than the `due_at` at which the next search begins. A commit that hangs for a standby takes longer: its
 * row is found at the latest by the search of the whole queue, which the owner of the queue makes once a minute.
 */
const LATE_COMMIT_SECONDS = 5;

export interface LeaseParams {
  limit: number;
  leaseSeconds: number;
  /** Rows that were due earlier are left out. */
  dueFrom: Date;
  /** The turns continue with the user after this one. */
  lastUser: string;
  /** Counts the leases of this instance, so that each lease favours other users with the rows that do not divide evenly. */
  leaseNumber: number;
}

export interface LeasedRow extends FileRow {
  /** The last user that this lease examined. The value is null if all due rows fit into this lease. */
  last_user: string | null;
}

/** The column by which the rows of a queue come due. It is null for a row that is not in the queue. */
type QueueColumn = 'due_at' | 'event_due_at';

/**
 * Prepares a statement that leases due rows of any user. Apart from `npm run reconcile` and `npm run events`, only the
 * statements of the two queues read rows of more than one user.
 *
 * `users_in_turn` is recursive, because only then Postgres skips the other rows of a user: one search of an index
 * finds the next user's oldest row. `examined` counts the users so far, `due` counts those of them with due rows. It
 * begins with the last user of the lease before, who gets no turn for that. `is_again` is true after the last of all
 * users was reached, so that the turns end before a user gets a second one.
 *
 * The cost does not grow with the number of due rows. If fewer rows than `limit` are due, the statement skips
 * the turns of the users and takes 0.2 ms. Otherwise it takes 1 to 3 ms with a few users and 20 ms with twenty
 * thousand users, both for 50 due rows and for half a million.
 *
 * Each search of an index has the lower bound `dueFrom`. Rows that have changed leave old entries in the index,
 * as long as any session has a snapshot that is older than the change. Without the bound, a search reads all
 * these entries, and looks up the row of each entry in the table.
 *
 * `in_turn` compares `(user_id, due_at)` with the bound. With `due_at >= … and due_at <= …` instead, Postgres
 * expects few rows, and its plan read all due rows again for each user: 340 ms with a hundred thousand rows.
 *
 * @param returned more columns that the statement returns
 * @param alsoSet another assignment to each leased row
 */
export function prepareLease<Params extends LeaseParams, Row extends LeasedRow>(
  name: string,
  column: QueueColumn,
  returned: (placeholders: Record<keyof Params, Sql>) => Sql,
  alsoSet?: Sql,
): Prepared<Params, Row> {
  const dueAt = sql.raw(column);
  return prepare<Params, Row>(name, (placeholders) => {
    const { limit, leaseSeconds, dueFrom, leaseNumber } = placeholders;
    const share = sql`ceil(${limit}::bigint * ${FAIR_SHARE})::bigint`;
    return sql`
    with recursive ${usersInTurn(dueAt, share, placeholders)},
    in_turn as (
      select user_id, s3_key
      from (${rowsOfEachUser(share, leaseNumber)}) as users, lateral (
        select user_id, s3_key
        from files
        where user_id = turn_of and ${dueAt} <= now() and (user_id, ${dueAt}) >= (turn_of, ${dueFrom})
        order by ${dueAt}
        limit turn_rows
        for update skip locked) as their_oldest
      limit ${share}
    ),
    oldest as (
      select user_id, s3_key
      from files
      where ${dueAt} >= ${dueFrom} and ${dueAt} <= now()
        and (user_id, s3_key) not in (select user_id, s3_key from in_turn)
      order by ${dueAt}
      limit ${limit} - (select count(*) from in_turn)
      for update skip locked
    ),
    leased as (
      select user_id as leased_user, s3_key as leased_key
      from (select * from in_turn union all select * from oldest) as both_kinds
      limit ${ROWS_MAX}
    )
    update files set ${dueAt} = ${after(leaseSeconds)}${alsoSet === undefined ? sql`` : sql`, ${alsoSet}`}
    from leased
    where user_id = leased_user and s3_key = leased_key
    returning ${columns}, false as is_fresh, ${returned(placeholders)},
      (select user_id from users_in_turn where examined = (select max(examined) from users_in_turn)) as last_user`;
  });
}

/**
 * The number of rows for each user with due rows. All users get the same number, and what does not divide evenly goes to
 * some of them, one row each. The next lease goes on with the users after these. If the number were rounded up instead,
 * the first users would take the whole share in each lease: of 50 users, the last ten got nothing in turn.
 */
const rowsOfEachUser = (share: Sql, leaseNumber: Sql): Sql => sql`
        select user_id as turn_of,
          ${share} / users + ((due + users - ${leaseNumber}::bigint * rest % users) % users < rest)::int as turn_rows
        from users_in_turn, (
          select max(due)::bigint as users, ${share} % max(due) as rest from users_in_turn having max(due) > 0) as turns
        where is_due`;

const usersInTurn = (
  dueAt: Sql,
  share: Sql,
  { limit, dueFrom, lastUser }: Record<keyof LeaseParams, Sql>,
): Sql => sql`
    first_user as materialized (${userAfter(sql`''`, dueAt, dueFrom)}),
    users_in_turn (user_id, is_due, examined, due, is_again) as (
      select ${lastUser}::text collate "C", false, 0, 0, false
      where ${limit} <= (
        select count(*)
        from (
          select from files where ${dueAt} >= ${dueFrom} and ${dueAt} <= now() order by ${dueAt} limit ${limit}) as waiting)
      union all
      select next.*
      from (
        select coalesce(following.user_id, first_user.user_id) as user_id,
          coalesce(following.is_due, first_user.is_due) as is_due,
          examined + 1,
          due + coalesce(following.is_due, first_user.is_due)::int,
          is_again or following.user_id is null as is_again
        from users_in_turn
          left join lateral (${userAfter(sql`users_in_turn.user_id`, dueAt, dueFrom)}) as following on true
          left join first_user on following.user_id is null and not is_again
        where examined < ${USERS_EXAMINED_MAX} and due < ${share}) as next
      where user_id is not null and not (is_again and user_id > ${lastUser})
    )`;

const userAfter = (user: Sql, dueAt: Sql, dueFrom: Sql): Sql => sql`
        select user_id, ${dueAt} <= now() as is_due
        from files
        where ${dueAt} >= ${dueFrom} and user_id > ${user}
        order by user_id, ${dueAt}
        limit 1`;

/**
 * Prepares the search for the oldest due row, and for where the next search begins. If no row is in the queue,
 * `min(…)` is null and `least` ignores it, so the next search begins LATE_COMMIT_SECONDS before now.
 *
 * @param returned more columns that the statement returns, for the due rows from `dueFrom` on
 */
export function prepareOldest<Row>(
  name: string,
  column: QueueColumn,
  returned: (dueFrom: Sql) => Sql,
): Prepared<{ dueFrom: Date }, Row & { due_from: Date }> {
  const dueAt = sql.raw(column);
  return prepare(
    name,
    ({ dueFrom }) => sql`
    select
      ${returned(dueFrom)},
      least(min(${dueAt}), now() - ${seconds(LATE_COMMIT_SECONDS)}) as due_from
    from files
    where ${dueAt} >= ${dueFrom}`,
  );
}
