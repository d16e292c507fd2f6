/**
 * Statements of the sweeper (`src/files/maintenance/sweeper.ts`), the background task that verifies uploads and removes
 * deleted files. Its queue is the column `due_at` of the rows themselves. A sweeper leases a row by moving its `due_at`
 * ahead, so that no other sweeper takes the row until then. A row is *purgeable* when no URL can write to its key any
 * more (`src/files/ports/file-store.ts`).
 */
import { sql } from 'kysely';
import type { FileRow, TombstoneRow } from '../file-row.ts';
import {
  after,
  columns,
  FIRST_PAUSE_SECONDS,
  isMultipart,
  isUnfinished,
  PAUSE_FACTOR,
  PAUSE_MAX_SECONDS,
  purgeable,
  type RowKey,
  seconds,
  type WriteWindow,
} from './expressions.ts';
import { prepare } from './prepared.ts';

/**
 * A constant limit in the SQL, larger than the number of rows that a sweeper leases at once. It exists so that
 * Postgres's planner expects few rows. For `limit $1`, a generic plan expects a tenth of all due rows, and then
 * reads the whole table for each lease: 0.5 s with half a million rows due after an outage. With a constant of
 * 1,000, the plan also reads the whole table if the table has 120,000 rows.
 */
const LEASE_ROWS_MAX = 100;

/**
 * The part of a lease that users share evenly, in turns. In one round, every user has one turn. The rest of the
 * lease goes to the rows that have been due longest, so that no row waits for a whole round. With a hundred
 * thousand users whose rows are not due yet, a round takes a hundred leases.
 */
const FAIR_SHARE = 0.8;

/** A lease examines at most this many users. Each takes one search of an index, and all together take 20 ms. */
const USERS_EXAMINED_MAX = 1_000;

/**
 * The next search for due rows begins at a `due_at` at least this long before now, because a search does not see rows
 * that are not committed yet. A statement never sets `due_at` to a time before its own start, and it usually commits at
 * most 2.5 s after its start (`statement_timeout`). So the `due_at` of a row that this search does not see is later
 * than the `due_at` at which the next search begins. A commit that hangs for a standby takes longer: its row is found
 * at the latest by the search of the whole queue, which the sweeper makes once a minute.
 */
const LATE_COMMIT_SECONDS = 5;

interface LeaseParams extends WriteWindow {
  limit: number;
  leaseSeconds: number;
  /** Rows that were due earlier are left out. */
  dueFrom: Date;
  /** The round of the users continues after this user. Empty: a new round begins. */
  lastUser: string;
}

interface LeasedRow extends FileRow, TombstoneRow {
  purgeable: boolean;
  /**
   * The last user that this lease examined. The value is null if the round has reached the last of all users, or
   * if all due rows fit into this lease.
   */
  last_user: string | null;
}

/**
 * Leases due rows of any user to a sweeper. Apart from `npm run reconcile`, only the sweeper's statements read rows of
 * more than one user.
 *
 * `users_in_turn` is recursive, because only then Postgres skips the other rows of a user: one search of an index
 * finds the next user's oldest row. `examined` counts the users so far, `due` counts those of them with due rows.
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
 */
export const leaseDue = prepare<LeaseParams, LeasedRow>(
  'lease_due',
  ({ limit, leaseSeconds, dueFrom, lastUser, longestUploadSeconds }) => {
    const share = sql`ceil(${limit}::bigint * ${FAIR_SHARE})`;
    return sql`
    with recursive users_in_turn (user_id, is_due, examined, due) as (
      (select user_id, due_at <= now(), 1, (due_at <= now())::int
       from files
       where due_at >= ${dueFrom} and user_id > ${lastUser} and ${limit} <= (
         select count(*)
         from (
           select from files where due_at >= ${dueFrom} and due_at <= now() order by due_at limit ${limit}) as waiting)
       order by user_id, due_at
       limit 1)
      union all
      select next.user_id, next.is_due, examined + 1, due + next.is_due::int
      from users_in_turn, lateral (
        select user_id, due_at <= now() as is_due
        from files
        where due_at >= ${dueFrom} and user_id > users_in_turn.user_id
        order by user_id, due_at
        limit 1) as next
      where examined < ${USERS_EXAMINED_MAX} and due < ${share}
    ),
    in_turn as (
      select user_id, s3_key
      from (select user_id as turn_of from users_in_turn where is_due) as users, lateral (
        select user_id, s3_key
        from files
        where user_id = turn_of and due_at <= now() and (user_id, due_at) >= (turn_of, ${dueFrom})
        order by due_at
        limit (select ceil(${share} / max(due)) from users_in_turn)
        for update skip locked) as their_oldest
      limit ${share}
    ),
    oldest as (
      select user_id, s3_key
      from files
      where due_at >= ${dueFrom} and due_at <= now()
        and (user_id, s3_key) not in (select user_id, s3_key from in_turn)
      order by due_at
      limit ${limit} - (select count(*) from in_turn)
      for update skip locked
    ),
    leased as (
      select user_id as leased_user, s3_key as leased_key
      from (select * from in_turn union all select * from oldest) as both_kinds
      limit ${LEASE_ROWS_MAX}
    )
    update files set due_at = ${after(leaseSeconds)}
    from leased
    where user_id = leased_user and s3_key = leased_key
    returning ${columns}, false as is_fresh,
      ${isMultipart} as is_multipart,
      ${purgeable(longestUploadSeconds)} as purgeable,
      (select max(user_id) from users_in_turn
       having max(examined) = ${USERS_EXAMINED_MAX} or max(due) >= ${share}) as last_user`;
  },
);

/**
 * Makes a row come due again after a pause, which grows with each attempt. If the row becomes purgeable before the
 * pause has ended, it comes due at that moment. If the row is already purgeable, the `case` is null, `least`
 * ignores the null, and the row comes due after the pause.
 */
export const reschedule = prepare<RowKey & WriteWindow>('reschedule', (params) => {
  const { userId, s3Key, longestUploadSeconds } = params;
  const pauseSeconds = sql`least(
    ${FIRST_PAUSE_SECONDS} * power(${PAUSE_FACTOR}, least(sweep_attempts + 1, 20)),
    ${PAUSE_MAX_SECONDS})`;
  return sql`
    update files set
      sweep_attempts = least(sweep_attempts + 1, 100),
      due_at = least(
        ${after(pauseSeconds)},
        case when not ${purgeable(longestUploadSeconds)} then url_expire_at + ${seconds(longestUploadSeconds)} end)
    where user_id = ${userId} and s3_key = ${s3Key} and ${isUnfinished}`;
});

export const purge = prepare<RowKey & WriteWindow, Pick<FileRow, 's3_key'>>(
  'purge',
  ({ userId, s3Key, longestUploadSeconds }) => sql`
    delete from files
    where user_id = ${userId} and s3_key = ${s3Key} and state in ('pending', 'deleted')
      and ${purgeable(longestUploadSeconds)}
    returning s3_key`,
);

/**
 * Finds the oldest due row, and where the next search begins. If no row has a `due_at`, `min(due_at)` is null and
 * `least` ignores it, so the next search begins LATE_COMMIT_SECONDS before now.
 */
export const oldestDue = prepare<{ dueFrom: Date }, { overdue_seconds: number; due_from: Date }>(
  'oldest_due',
  ({ dueFrom }) => sql`
    select
      coalesce(greatest(extract(epoch from now() - min(due_at)), 0), 0)::double precision as overdue_seconds,
      least(min(due_at), now() - ${seconds(LATE_COMMIT_SECONDS)}) as due_from
    from files
    where due_at >= ${dueFrom}`,
);
