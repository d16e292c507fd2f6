/**
 * `src/doctor/postgres/table` has the rows about the table of the service and the rights of its role. Comparing the
 * rows of the table with the objects in the bucket does not belong here: `npm run reconcile` (`src/cli/reconcile.ts`)
 * does that.
 */
import { no, type Row, yes } from '../../row.ts';
import type { ProbedDatabase } from '../probed-database.ts';

/** The migration that adds the columns for events. A service without events works before it, too. */
const EVENTS_MIGRATION = '0003-events';

export const schema: Row<ProbedDatabase> = {
  title: 'the schema is there',
  meaning: 'The service is not ready.',
  remedy: 'Run `npm run migrate`, or set MIGRATE_ON_START=true; check the search_path of the role.',
  async probe(database) {
    const found = await database.query(
      "select to_regclass('files') as files, to_regclass('kysely_migration') as log",
    );
    if (found[0]?.files === null || found[0]?.log === null) return no('there is no table files');
    const [last] = await database.query('select name from kysely_migration order by name desc limit 1');
    if (last === undefined) return no('no migration has run');
    const seen = `migrated to ${last.name}`;
    const lacksEvents = database.settings.deliversEvents && String(last.name) < EVENTS_MIGRATION;
    return lacksEvents ? no(`${seen}, and EVENTS_URL needs ${EVENTS_MIGRATION}`) : yes(seen);
  },
};
