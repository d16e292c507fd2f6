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

/** The sweeper's queue, which is the rows themselves. */

/**
 * More than a sweeper claims at once, and what a kept plan reckons with: `limit $1`
 * alone may be a tenth of all that is due to it, and then it reads the whole table
 * for each batch (half a million rows due after an outage: 0.5 s). So does, on
 * 120,000 rows, a plan for 1,000.
 */
const CLAIM_ROWS_MAX = 100;

/**
 * What of a claim is shared by users in turns. The rest goes to those that have waited longest of all: with a hundred
 * thousand users whose rows are not due yet, a round takes a hundred claims.
 */
const TURNS_SHARE = 0.8;

/** How many users a claim looks at, each with one probe of an index: 3 ms. */
const USERS_EXAMINED_MAX = 1_000;

/**
 * The one statement across users.
 *
 * Its cost is the same whatever is due: 0.2 ms where that is no more than a claim, for then nobody has to wait; else
 * 1 to 3 ms with a few users and 4 ms with a hundred thousand, be it 50 rows that are due or half a million.
 */
export const leaseDue = prepare<
  WriteWindow & {
    limit: number;
    leaseSeconds: number;
    /** Behind whom the round of the users goes on; empty: it begins. */
    lastUser: string;
  }
>()<
  FileRow &
    TombstoneRow & {
      purgeable: boolean;
      /** With whom the round has ended; null: with the last user of all, or nobody had to wait. */
      last_user: string | null;
    }
>('lease_due', (db, param) => {
  const limit = sql`${param('limit')}::bigint`;
  const share = sql<number>`ceil(${limit} * ${sql.lit(TURNS_SHARE)})`;
  const somebodyWaits = sql<boolean>`${limit} <= (
    select count(*) from (select from files where due_at <= now() order by due_at limit ${limit}) as waiting)`;
  return (
    db
      // By recursion, because only so does Postgres skip a user's other rows: one probe finds the next user's oldest.
      .withRecursive(
        'users_in_turn(user_id, is_due, examined, due)',
        () => sql<UserInTurn>`(
          (select user_id, due_at <= now(), 1, (due_at <= now())::int from files
           where due_at is not null and user_id > ${param('lastUser')} and ${somebodyWaits}
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
        () => sql<ClaimedKey>`(
          select user_id, s3_key from (select user_id as turn_of from users_in_turn where is_due) as users, lateral (
            select user_id, s3_key from files where user_id = turn_of and due_at <= now()
            order by due_at limit (select ceil(${share} / max(due)) from users_in_turn)
            for update skip locked) as their_oldest
          limit ${share})`,
      )
      .with(
        'oldest',
        () => sql<ClaimedKey>`(
          select user_id, s3_key from files
          where due_at <= now() and (user_id, s3_key) not in (select user_id, s3_key from in_turn)
          order by due_at limit ${limit} - (select count(*) from in_turn)
          for update skip locked)`,
      )
      .with('claimed', (qb) =>
        qb
          .selectFrom((each) =>
            each
              .selectFrom('in_turn')
              .selectAll()
              .unionAll((union) => union.selectFrom('oldest').selectAll())
              .as('both'),
          )
          .select(['user_id as claimed_user', 's3_key as claimed_key'])
          .limit(sql.lit(CLAIM_ROWS_MAX)),
      )
      .updateTable('files')
      .from('claimed')
      .set({ due_at: after(param('leaseSeconds')) })
      .whereRef('files.user_id', '=', 'claimed.claimed_user')
      .whereRef('files.s3_key', '=', 'claimed.claimed_key')
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
  /** How many users there were by then, and how many of them with something due. */
  examined: number;
  due: number;
}

interface ClaimedKey {
  user_id: string;
  s3_key: string;
}

export const reschedule = prepare<RowKey & WriteWindow>()('reschedule', (db, param) =>
  db
    .updateTable('files')
    .set({
      sweep_attempts: sql`least(sweep_attempts + 1, 100)`,
      // least() passes over null: a row that is purgeable already has only the pause.
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
