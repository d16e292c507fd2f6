import { type Row, yesIf } from '../../row.ts';
import { type ProbedDatabase, scalar } from '../probed-database.ts';

export const jit: Row<ProbedDatabase> = {
  title: 'JIT is off for the service',
  isAdvice: true,
  meaning: 'Postgres may compile a statement at each run, which takes up to 600 ms of CPU.',
  remedy: 'Behind a pooler in transaction mode: ALTER ROLE … SET jit = off.',
  async probe(database) {
    const found = await scalar(database, "current_setting('jit')");
    return yesIf(found === 'off', found);
  },
};
