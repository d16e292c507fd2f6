import { type Row, yesIf } from '../../row.ts';
import type { ProbedDatabase } from '../probed-database.ts';

export const pooler: Row<ProbedDatabase> = {
  title: 'DATABASE_POOLER says whether a pooler is in between',
  isAdvice: true,
  meaning: 'The service gives up settings or named statements that it could keep.',
  remedy: 'Set DATABASE_POOLER to the mode of the pooler, or to none.',
  async probe(database) {
    const found = await database.hasPooler();
    const { pooler: configured } = database.settings;
    const seen = `${found ? 'a pooler' : 'no pooler'}, and it is ${configured}`;
    return yesIf(found === (configured !== 'none'), seen);
  },
};
