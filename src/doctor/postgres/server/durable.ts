import { type Row, yesIf } from '../../row.ts';
import type { ProbedDatabase } from '../probed-database.ts';

export const durable: Row<ProbedDatabase> = {
  title: 'a committed row survives a crash of Postgres',
  invariant: 'I3',
  isAdvice: true,
  meaning:
    'After a crash of its machine, files are missing from lists: `npm run reconcile -- --adopt` brings them back.',
  remedy: 'Set fsync, full_page_writes and synchronous_commit to on.',
  async probe(database) {
    const rows = await database.query(
      "select name, setting from pg_settings where name in ('fsync', 'full_page_writes', 'synchronous_commit')",
    );
    const off = rows.filter(({ setting }) => setting === 'off').map(({ name }) => `${name} = off`);
    return yesIf(off.length === 0, off.length === 0 ? 'written to disk at each commit' : off.join(', '));
  },
};
