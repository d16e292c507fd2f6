/**
 * `src/doctor/postgres/table` has the rows about the table of the service and the rights of its role. Comparing the
 * rows of the table with the objects in the bucket does not belong here: `npm run reconcile` (`src/cli/reconcile.ts`)
 * does that.
 */
import { no, type Row, yes } from '../../row.ts';
import type { ProbedDatabase } from '../probed-database.ts';

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
    return last === undefined ? no('no migration has run') : yes(`migrated to ${last.name}`);
  },
};
