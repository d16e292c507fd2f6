import { type Row, yesIf } from '../../row.ts';
import type { ProbedDatabase } from '../probed-database.ts';

export const primary: Row<ProbedDatabase> = {
  title: 'the server takes writes',
  meaning: 'Creates and deletes fail.',
  remedy:
    'Point DATABASE_URL at the primary, or name all servers: the service chooses the one that takes writes.',
  async probe(database) {
    const [state] = await database.query(
      "select pg_is_in_recovery() as standby, current_setting('transaction_read_only') as read_only",
    );
    const seen =
      state?.standby === true ? 'a standby' : state?.read_only === 'on' ? 'read-only' : 'a primary';
    return yesIf(seen === 'a primary', seen);
  },
};
