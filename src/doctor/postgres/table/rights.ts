import { consequence, type Row, yesIf } from '../../row.ts';
import type { ProbedDatabase } from '../probed-database.ts';

/** The statements that the service runs on the table. */
const STATEMENTS = ['select', 'insert', 'update', 'delete'];

export const rights: Row<ProbedDatabase> = {
  title: 'the role may read and write the table',
  meaning: 'Calls fail with DATABASE_UNAVAILABLE or INTERNAL.',
  remedy: 'grant select, insert, update, delete on files to …; grant select on kysely_migration to …',
  async probe(database) {
    const [found] = await database.query("select to_regclass('files') as files");
    if (found?.files === null) return consequence('there is no table files');
    const checks = STATEMENTS.map((name) => `has_table_privilege('files', '${name}') as "${name}"`);
    const [may] = await database.query(`select ${checks.join(', ')}`);
    const missing = STATEMENTS.filter((name) => may?.[name] !== true);
    return yesIf(missing.length === 0, missing.length === 0 ? 'all four' : `missing: ${missing.join(', ')}`);
  },
};
