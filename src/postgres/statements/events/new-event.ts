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
 * The states, and the last decimal digit of the revisions that are made for them. A statement that changes the state of
 * a file without an event, because it belongs to a service without events or of an earlier release, leaves the revision
 * as it was. The lease of the event then finds another digit than that of the state, and makes a new revision.
 */
const DIGITS = { ready: 0, pending: 1, deleted: 2 } as const;

type State = keyof typeof DIGITS;

const digitOfState: Sql = sql`case state when 'ready' then ${DIGITS.ready} when 'pending' then ${DIGITS.pending} else ${DIGITS.deleted} end`;

/**
 * Microseconds since 1970, rounded to tens. `clock_timestamp()` and not `now()`: if two statements change a row one after
 * the other, the first of them may have begun later.
 */
const clockTens: Sql = sql`(extract(epoch from clock_timestamp()) * 100000)::bigint * 10`;

/** The first revision of a new row. */
export const firstRevision = (state: State): Sql => sql`${clockTens} + ${DIGITS[state]}`;

/** Larger than the revision before, even if the clock of Postgres has been set back since then. */
const nextRevision = (digit: Sql): Sql => sql`greatest((revision / 10 + 1) * 10, ${clockTens}) + ${digit}`;

/** An assignment for the lease of an event: the revision grows if a statement without an event has changed the state. */
export const revisionOfState: Sql = sql`
    revision = case when revision % 10 = ${digitOfState} then revision else ${nextRevision(digitOfState)} end`;

/**
 * Assignments in `update files set`: they make the event of this change due, in place of an older event of the row.
 *
 * @param state the state after the change
 * @param isChange whether the statement changes anything that consumers of events must learn of. Default: it does
 */
export function newEvent(state: State, isChange?: Sql): Sql {
  const when = (value: Sql, column: string) =>
    isChange === undefined ? value : sql`case when ${isChange} then ${value} else ${sql.raw(column)} end`;
  return sql`
    revision = ${when(nextRevision(sql`${DIGITS[state]}`), 'revision')},
    event_due_at = ${when(dueNow, 'event_due_at')},
    event_attempts = ${when(sql`0`, 'event_attempts')}`;
}
