/** Statements of the dispatcher (`src/events/dispatcher.ts`). */
import { sql } from 'kysely';
import type { EventRow } from '../../event-row.ts';
import { after } from '../expressions.ts';
import { prepare, type Sql } from '../prepared.ts';
import { type LeasedRow, type LeaseParams, prepareLease, prepareOldest } from '../queue.ts';
import { revisionOfState } from './new-event.ts';

export const leaseEvents = prepareLease<LeaseParams, LeasedRow & EventRow>(
  'lease_events',
  'event_due_at',
  () => sql`revision, event_attempts`,
  revisionOfState,
);

/**
 * The search for the oldest change examines this many of the first events and of the last events by `event_due_at`.
 * They have no index by the time of the change. So the age is exact while fewer than twice as many are undelivered.
 */
const EXAMINED_MAX = 1_000;

export const oldestEvent = prepareOldest<{ age_seconds: number }>(
  'oldest_event',
  'event_due_at',
  (dueFrom) => {
    const oldestRevision = sql`(
        select min(revision)
        from (
          (select revision from files where event_due_at >= ${dueFrom} order by event_due_at limit ${EXAMINED_MAX})
          union all
          (select revision from files where event_due_at >= ${dueFrom} order by event_due_at desc limit ${EXAMINED_MAX})
        ) as ends)`;
    return sql`
      coalesce(greatest(extract(epoch from now()) - ${oldestRevision} / 1000000.0, 0), 0)::double precision as age_seconds`;
  },
);

interface EventRefs {
  // One array for each column, all in the order of the events.
  userIds: readonly string[];
  s3Keys: readonly string[];
  revisions: readonly number[];
}

/** An event whose row was changed. `pg` returns an int8 as text. */
export interface ChangedEvent {
  s3_key: string;
  revision: string;
}

/**
 * Changes the rows of events that no newer event has replaced, and returns these events. A row that another session has
 * locked is left out, as in `markReadyMany` (transitions.ts).
 *
 * @param more further arrays, and the names of their columns
 */
const changeEvents = (
  refs: Record<keyof EventRefs, Sql>,
  assignments: Sql,
  more: Sql,
  names: Sql,
): Sql => sql`
    with event as (
      select *
      from unnest(${refs.userIds}::text[], ${refs.s3Keys}::text[], ${refs.revisions}::bigint[] ${more})
        as event (event_user, event_key, event_revision ${names})
      offset 0
    ),
    locked as (
      select event.*
      from event join files on user_id = event_user and s3_key = event_key
      where revision = event_revision
      for update of files skip locked
    )
    update files set ${assignments}
    from locked
    where user_id = event_user and s3_key = event_key and revision = event_revision
    returning s3_key, revision`;

export const acknowledgeEvents = prepare<EventRefs, ChangedEvent>('acknowledge_events', (refs) =>
  changeEvents(refs, sql`event_due_at = null`, sql``, sql``),
);

interface PostponedEvents extends EventRefs {
  pauses: readonly number[];
  /** 1 for each event whose delivery counts as an attempt, 0 for the others. */
  attempts: readonly number[];
}

/** The largest number of attempts that a row counts. The pauses no longer grow long before. */
const ATTEMPTS_MAX = 1_000;

/** An event that another dispatcher has acknowledged in the meantime stays acknowledged. */
export const postponeEvents = prepare<PostponedEvents, ChangedEvent>('postpone_events', (params) =>
  changeEvents(
    params,
    sql`
      event_due_at = case when event_due_at is not null then ${after(sql`event_pause`)} end,
      event_attempts = least(event_attempts + event_tries, ${ATTEMPTS_MAX})`,
    sql`, ${params.pauses}::double precision[], ${params.attempts}::smallint[]`,
    sql`, event_pause, event_tries`,
  ),
);
