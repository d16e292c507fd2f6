/**
 * Statements that change files have two forms. The `announced` form is for a service that delivers events (EVENTS_URL
 * is set): the statement that changes a file also makes the event of the change due. The `silent` form is for a service
 * without events. It names no column of migration 0003, so it also works before this migration has run.
 */
import { sql } from 'kysely';
import { dueNow } from './expressions.ts';
import { type Prepared, prepare, type Sql } from './prepared.ts';

export interface Forms<Params, Row> {
  silent: Prepared<Params, Row>;
  announced: Prepared<Params, Row>;
}

export const formFor = ({
  announcesChanges = false,
}: {
  announcesChanges?: boolean | undefined;
}): keyof Forms<never, never> => (announcesChanges ? 'announced' : 'silent');

/** Returns the first part in the announced form, and the second part (default: nothing) in the silent form. */
export type IfAnnounced = (announced: Sql, silent?: Sql) => Sql;

const NOTHING = sql``;

/**
 * Prepares both forms of a statement. The name of the announced form ends with `_announced`.
 *
 * @param build as for `prepare`; `ifAnnounced` adds the parts of the announced form
 */
export function prepareForms<Params, Row = never>(
  name: string,
  build: (placeholders: Record<keyof Params, Sql>, ifAnnounced: IfAnnounced) => Sql,
  wrote?: (rows: readonly Row[]) => boolean,
): Forms<Params, Row> {
  const prepareForm = (formName: string, ifAnnounced: IfAnnounced) =>
    prepare<Params, Row>(formName, (placeholders) => build(placeholders, ifAnnounced), wrote);
  return {
    silent: prepareForm(name, (_, silent = NOTHING) => silent),
    announced: prepareForm(`${name}_announced`, (announced) => announced),
  };
}

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
