import { type Row, yesIf } from '../../row.ts';
import { type ProbedDatabase, scalar } from '../probed-database.ts';

export const standby: Row<ProbedDatabase> = {
  title: 'a committed row survives the loss of the primary',
  isAdvice: true,
  meaning:
    'After a failover the last rows can be missing: `npm run reconcile -- --adopt` brings their files back.',
  remedy: 'Set synchronous_standby_names. Managed services with shared storage need no standby for this.',
  async probe(database) {
    const names = await scalar(database, "current_setting('synchronous_standby_names')");
    return yesIf(names !== '', names === '' ? 'no synchronous standby' : names);
  },
};
