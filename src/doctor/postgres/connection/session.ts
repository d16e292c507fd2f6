/**
 * `src/doctor/postgres/connection` has the rows about a connection as the service uses it: the network, the pooler,
 * and the settings that the service makes for each connection. Rows about settings that all clients of the database
 * share belong to `../server`.
 */
import { type Row, yesIf } from '../../row.ts';
import type { ProbedDatabase } from '../probed-database.ts';

export const session: Row<ProbedDatabase> = {
  title: 'connections have the settings that the service needs',
  invariant: 'I7',
  meaning: 'Statements may have slow plans, no time-out, or another form of times and bytes.',
  remedy:
    'Set DATABASE_POOLER to the mode of the pooler, and the settings of the role as src/postgres/README.md says.',
  async probe(database) {
    const wanted = database.settings.session;
    const rows = await database.query(
      `select name, setting from pg_settings where name in (${Object.keys(wanted)
        .map((name) => `'${name}'`)
        .join(', ')})`,
    );
    // If this version of Postgres does not know a setting, pg_settings has no row for it, and the probe ignores it.
    const other = rows
      .filter(({ name, setting }) => wanted[String(name)] !== setting)
      .map(({ name, setting }) => `${name} = ${setting}`);
    return yesIf(other.length === 0, other.length === 0 ? 'all of them' : other.join(', '));
  },
};
