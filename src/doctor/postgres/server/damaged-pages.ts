import { type Row, yesIf } from '../../row.ts';
import type { ProbedDatabase } from '../probed-database.ts';

export const damagedPages: Row<ProbedDatabase> = {
  title: 'Postgres reads no damaged page',
  invariant: 'I3',
  meaning: 'The rows of a damaged page vanish or change, and no call fails.',
  remedy: 'Set zero_damaged_pages and ignore_checksum_failure to off.',
  async probe(database) {
    const rows = await database.query(
      "select name from pg_settings where name in ('zero_damaged_pages', 'ignore_checksum_failure') and setting = 'on'",
    );
    const on = rows.map(({ name }) => `${name} = on`);
    return yesIf(on.length === 0, on.length === 0 ? 'a statement that meets one fails' : on.join(', '));
  },
};
