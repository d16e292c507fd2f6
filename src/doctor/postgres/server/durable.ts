import { type Row, yesIf } from '../../row.ts';
import type { ProbedDatabase } from '../probed-database.ts';

/**
 * Amazon Aurora and Neon write their log to storage servers, and run with fsync or full_page_writes off. No operator can
 * turn these settings on, and no crash needs them. Aurora has the function `aurora_version`, Neon has settings of its own.
 */
const HAS_STORAGE_SERVERS =
  "to_regproc('aurora_version') is not null or exists (select from pg_settings where name like 'neon.%')";

/**
 * No advice, because a client was told that its file exists, and after the crash the service does not know the file. The
 * embedded Postgres of `npm start` is durable, too. Only servers of tests are not.
 */
export const durable: Row<ProbedDatabase> = {
  title: 'a committed row survives a crash of Postgres',
  invariant: 'I3',
  meaning:
    'After a crash of its machine, files are missing from lists: `npm run reconcile -- --adopt` brings them back. With fsync or full_page_writes off, the whole database can be damaged.',
  remedy: 'Set fsync, full_page_writes and synchronous_commit to on.',
  async probe(database) {
    const rows = await database.query(
      `select name, setting, ${HAS_STORAGE_SERVERS} as has_storage_servers
       from pg_settings where name in ('fsync', 'full_page_writes', 'synchronous_commit')`,
    );
    const off = rows
      .filter(({ setting }) => setting === 'off')
      .filter((row) => row.has_storage_servers !== true || row.name === 'synchronous_commit')
      .map(({ name }) => `${name} = off`);
    return yesIf(off.length === 0, off.length === 0 ? 'written to disk at each commit' : off.join(', '));
  },
};
