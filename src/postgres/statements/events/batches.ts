/**
 * Statements that go through the events of the whole table, batch by batch: `npm run events -- replay` makes READY files
 * due again, and a service without events drops what was not delivered.
 */
import { sql } from 'kysely';
import { prepare, type Sql } from '../prepared.ts';
import { ROWS_MAX } from '../queue.ts';
import { newEvent } from './new-event.ts';

interface ReplayParams {
  limit: number;
  /** The replay continues after the row with this user and this key. */
  afterUser: string;
  afterKey: string;
  /** Files that were verified before this time are left out. */
  since: Date;
}

export interface Replayed {
  replayed: number;
  /** The last row that was examined. Null if there was none. */
  last_user: string | null;
  last_key: string | null;
}

/**
 * Examines the rows that follow in the order of user and key, so that a statement takes the same time however few of
 * the rows are wanted. The time at which a file became READY is not stored. It is never later than the last verification
 * of the file.
 *
 * The statement waits for a row that another session has locked. No other statement that locks several READY rows waits
 * for one, so there is no deadlock.
 */
const replay = (range: Sql, limit: Sql, since: Sql): Sql => sql`
    with examined as (
      select *
      from (
        select user_id as examined_user, s3_key as examined_key, verified_at >= ${since} as is_wanted
        from files
        where ${range}
        order by user_id, s3_key
        limit ${limit}) as following
      limit ${ROWS_MAX}
    ),
    replayed as (
      update files set ${newEvent('ready')}
      from examined
      where is_wanted and user_id = examined_user and s3_key = examined_key and state = 'ready'
      returning s3_key
    ),
    last_examined as (select max(examined_user) as last_user from examined)
    select
      (select count(*) from replayed)::int as replayed,
      max(examined_user) as last_user,
      max(examined_key) filter (where examined_user = (select last_user from last_examined)) as last_key
    from examined`;

const hasReplayed = ([row]: readonly Replayed[]) => row !== undefined && row.replayed > 0;

export const replayEvents = prepare<ReplayParams, Replayed>(
  'replay_events',
  ({ limit, afterUser, afterKey, since }) =>
    replay(sql`(user_id, s3_key) > (${afterUser}, ${afterKey})`, limit, since),
  hasReplayed,
);

export const replayEventsOfUser = prepare<Omit<ReplayParams, 'afterUser'> & { userId: string }, Replayed>(
  'replay_events_of_user',
  ({ userId, limit, afterKey, since }) =>
    replay(sql`user_id = ${userId} and s3_key > ${afterKey}`, limit, since),
  hasReplayed,
);

interface Dropped {
  dropped: number;
  /** Whether an event is left: beyond the limit, or of a row that another session had locked. */
  is_left: boolean;
}

const hasDropped = ([row]: readonly Dropped[]) => row !== undefined && row.dropped > 0;

/**
 * The oldest events by `event_due_at` first. A row that another session has locked is left for the next batch. All parts of
 * the statement see the table as it was before, so `is_left` counts one event more than a batch may drop.
 */
export const dropEvents = prepare<{ limit: number }, Dropped>(
  'drop_events',
  ({ limit }) => sql`
    with undelivered as (
      select *
      from (
        select user_id as dropped_user, s3_key as dropped_key
        from files
        where event_due_at is not null
        order by event_due_at
        limit ${limit}
        for update skip locked) as oldest
      limit ${ROWS_MAX}
    ),
    dropped as (
      update files set event_due_at = null
      from undelivered
      where user_id = dropped_user and s3_key = dropped_key
      returning s3_key
    ),
    counted as (select count(*)::int as dropped from dropped)
    select dropped, dropped < (
      select count(*)
      from (
        select from files where event_due_at is not null order by event_due_at limit ${limit} + 1) as before) as is_left
    from counted`,
  hasDropped,
);
