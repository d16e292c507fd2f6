/** Statements of the sweeper. Its queue is the column `due_at` of the rows themselves. */
import { sql } from 'kysely';
import type { FileRow, TombstoneRow } from '../file-row.ts';
import {
  after,
  COLUMNS,
  FIRST_PAUSE_SECONDS,
  isUnfinished,
  multipartColumn,
  PAUSE_FACTOR,
  PAUSE_MAX_SECONDS,
  purgeable,
  type RowKey,
  seconds,
  type WriteWindow,
} from './expressions.ts';
import { prepare } from './prepared.ts';

/**
 * More rows than a sweeper leases at once, as a constant limit in the SQL, so that the planner expects few
 * rows. A generic plan takes `limit $1` for a tenth of all due rows, and then reads the whole table for each
 * lease: 0.5 s with half a million rows due after an outage. With a constant of 1,000, the plan reads the
 * whole table of 120,000 rows as well.
 */
const LEASE_ROWS_MAX = 100;

/**
 * The part of a lease that is shared evenly by users in turns. The rest goes to the rows that have been due
 * longest, so that no row waits for a whole round: with a hundred thousand users whose rows are not due yet,
 * a round takes a hundred leases.
 */
const FAIR_SHARE = 0.8;

/** The maximum of users that a lease examines, each with one probe of an index: together 3 ms. */
const USERS_EXAMINED_MAX = 1_000;

/**
 * Leases due rows of any user to a sweeper. Only the sweeper's statements read across users.
 *
 * The cost does not grow with the number of due rows. If fewer rows than `limit` are due, the statement skips
 * the turns of the users and costs 0.2 ms. Otherwise it costs 1 to 3 ms with a few users and 4 ms with a
 * hundred thousand, for 50 due rows as for half a million.
 */
export const leaseDue = prepare<
  WriteWindow & {
    limit: number;
    leaseSeconds: number;
    /** The round of the users continues after this user. Empty: a new round begins. */
    lastUser: string;
  }
>()<
  FileRow &
    TombstoneRow & {
      purgeable: boolean;
      /**
       * The last user that this lease examined. Null if the round has reached the last of all users, or if all
       * due rows fit into this lease.
       */
      last_user: string | null;
    }
>('lease_due', (db, param) => {
  const limit = sql`${param('limit')}::bigint`;
  const share = sql<number>`ceil(${limit} * ${sql.lit(FAIR_SHARE)})`;
  const dueRowsReachLimit = sql<boolean>`${limit} <= (
    select count(*) from (select from files where due_at <= now() order by due_at limit ${limit}) as waiting)`;
  return (
    db
      // Recursive, because only then Postgres skips the other rows of a user: one probe finds the next user's
      // oldest row.
      .withRecursive(
        'users_in_turn(user_id, is_due, examined, due)',
        () => sql<UserInTurn>`(
          (select user_id, due_at <= now(), 1, (due_at <= now())::int from files
           where due_at is not null and user_id > ${param('lastUser')} and ${dueRowsReachLimit}
           order by user_id, due_at limit 1)
          union all
          select next.user_id, next.is_due, examined + 1, due + next.is_due::int
          from users_in_turn, lateral (
            select user_id, due_at <= now() as is_due from files
            where due_at is not null and user_id > users_in_turn.user_id
            order by user_id, due_at limit 1) as next
          where examined < ${sql.lit(USERS_EXAMINED_MAX)} and due < ${share})`,
      )
      .with(
        'in_turn',
        () => sql<LeasedKey>`(
          select user_id, s3_key from (select user_id as turn_of from users_in_turn where is_due) as users, lateral (
            select user_id, s3_key from files where user_id = turn_of and due_at <= now()
            order by due_at limit (select ceil(${share} / max(due)) from users_in_turn)
            for update skip locked) as their_oldest
          limit ${share})`,
      )
      .with(
        'oldest',
        () => sql<LeasedKey>`(
          select user_id, s3_key from files
          where due_at <= now() and (user_id, s3_key) not in (select user_id, s3_key from in_turn)
          order by due_at limit ${limit} - (select count(*) from in_turn)
          for update skip locked)`,
      )
      .with('leased', (qb) =>
        qb
          .selectFrom((each) =>
            each
              .selectFrom('in_turn')
              .selectAll()
              .unionAll((union) => union.selectFrom('oldest').selectAll())
              .as('both'),
          )
          .select(['user_id as leased_user', 's3_key as leased_key'])
          .limit(sql.lit(LEASE_ROWS_MAX)),
      )
      .updateTable('files')
      .from('leased')
      .set({ due_at: after(param('leaseSeconds')) })
      .whereRef('files.user_id', '=', 'leased.leased_user')
      .whereRef('files.s3_key', '=', 'leased.leased_key')
      .returning([
        ...COLUMNS,
        sql<boolean | null>`false`.as('is_fresh'),
        multipartColumn,
        sql<boolean>`${purgeable(param('longestUploadSeconds'))}`.as('purgeable'),
        sql<string | null>`(
          select max(user_id) from users_in_turn
          having max(examined) = ${sql.lit(USERS_EXAMINED_MAX)} or max(due) >= ${share})`.as('last_user'),
      ])
  );
});

interface UserInTurn {
  user_id: string;
  is_due: boolean;
  /** The number of users so far. */
  examined: number;
  /** The number of users so far that have due rows. */
  due: number;
}

interface LeasedKey {
  user_id: string;
  s3_key: string;
}

export const reschedule = prepare<RowKey & WriteWindow>()('reschedule', (db, param) =>
  db
    .updateTable('files')
    .set({
      sweep_attempts: sql`least(sweep_attempts + 1, 100)`,
      // least() ignores null: a row that is purgeable already is due after the pause.
      due_at: sql`least(
        now() + least(${sql.lit(FIRST_PAUSE_SECONDS)} * power(${sql.lit(PAUSE_FACTOR)}, least(sweep_attempts + 1, 20)), ${sql.lit(PAUSE_MAX_SECONDS)}) * interval '1 second',
        case when not ${purgeable(param('longestUploadSeconds'))} then url_expire_at + ${seconds(param('longestUploadSeconds'))} end)`,
    })
    .where('user_id', '=', param('userId'))
    .where('s3_key', '=', param('s3Key'))
    .where(isUnfinished),
);

export const purge = prepare<RowKey & WriteWindow>()('purge', (db, param) =>
  db
    .deleteFrom('files')
    .where('user_id', '=', param('userId'))
    .where('s3_key', '=', param('s3Key'))
    .where('state', 'in', ['pending', 'deleted'])
    .where(purgeable(param('longestUploadSeconds')))
    .returning('s3_key'),
);

export const oldestOverdue = prepare<Record<never, never>>()('oldest_overdue', (db) =>
  db
    .selectFrom('files')
    .select(sql<number>`greatest(extract(epoch from now() - min(due_at)), 0)::double precision`.as('seconds'))
    .where('due_at', 'is not', null),
);
