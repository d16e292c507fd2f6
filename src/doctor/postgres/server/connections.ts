import { type Row, yesIf } from '../../row.ts';
import { type ProbedDatabase, scalar } from '../probed-database.ts';

export const connections: Row<ProbedDatabase> = {
  title: 'Postgres has connections for another instance of the service',
  isAdvice: true,
  meaning: 'New instances, and a deploy, find no connection.',
  remedy: 'Raise max_connections, lower DATABASE_POOL_SIZE, or use a pooler.',
  async probe(database) {
    const most = Number(await scalar(database, "current_setting('max_connections')"));
    const open = Number(
      await scalar(database, "select count(*) from pg_stat_activity where backend_type = 'client backend'"),
    );
    return yesIf(most - open >= database.settings.connections, `${open} of ${most} are open`);
  },
};
