/**
 * `src/postgres/statements/events` is the SQL about events: the newest change of a file, which the consumer of events has
 * not acknowledged. The row of the file is the outbox. `event_due_at` is the time of the next delivery, and null if
 * nothing is to be delivered. The dispatcher (the background task that delivers events) leases an event by moving
 * `event_due_at` ahead. A statement that changes a file belongs in the folder above, and takes its event from this file.
 */
import { sql } from 'kysely';
import { dueNow } from '../expressions.ts';
import type { Sql } from '../prepared.ts';

/**
 * The revision of a change: microseconds since 1970. `clock_timestamp()` and not `now()`: if two statements change a row
 * one after the other, the first of them may have begun later.
 */
const clockMicroseconds: Sql = sql`(extract(epoch from clock_timestamp()) * 1000000)::bigint`;

/** The first revision of a new row. */
export const firstRevision = clockMicroseconds;

/** Larger than the revision before, even if the clock of Postgres has been set back since then. */
const nextRevision: Sql = sql`greatest(revision + 1, ${clockMicroseconds})`;

/**
 * Assignments in `update files set`: they make the event of this change due, in place of an older event of the row.
 *
 * @param isChange whether the statement changes anything that consumers of events must learn of. Default: it does
 */
export function newEvent(isChange?: Sql): Sql {
  const when = (value: Sql, column: string) =>
    isChange === undefined ? value : sql`case when ${isChange} then ${value} else ${sql.raw(column)} end`;
  return sql`
    revision = ${when(nextRevision, 'revision')},
    event_due_at = ${when(dueNow, 'event_due_at')},
    event_attempts = ${when(sql`0`, 'event_attempts')}`;
}
