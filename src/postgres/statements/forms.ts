/**
 * Statements that change files have two forms. The `announced` form is for a service that delivers events (EVENTS_URL
 * is set): the statement that changes a file also makes the event of the change due. The `silent` form is for a service
 * without events. It names no column of migration 0003, so it also works before this migration has run.
 */
import { sql } from 'kysely';
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
