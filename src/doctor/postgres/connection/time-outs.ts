import { type Row, yesIf } from '../../row.ts';
import { type ProbedDatabase, scalar } from '../probed-database.ts';

export const timeOuts: Row<ProbedDatabase> = {
  title: 'Postgres ends statements that take too long',
  invariant: 'I7',
  meaning: 'A statement that hangs keeps its connection, until none is left.',
  remedy: "Behind a pooler in transaction mode: ALTER ROLE … SET statement_timeout = '2500ms'.",
  async probe(database) {
    const found = await scalar(database, "current_setting('statement_timeout')");
    return yesIf(found !== '0', found === '0' ? 'no statement_timeout' : found);
  },
};
