import { type Row, yesIf } from '../../row.ts';
import { type ProbedDatabase, scalar } from '../probed-database.ts';

export const migrations: Row<ProbedDatabase> = {
  title: 'the role may bring the schema up to date',
  isAdvice: true,
  meaning: '`npm run migrate` and MIGRATE_ON_START need another role.',
  remedy: 'grant create on schema … to …, or migrate with the role that owns the table.',
  async probe(database) {
    const may = await scalar(database, "has_schema_privilege(current_schema(), 'create')");
    return yesIf(may === 'true', may === 'true' ? 'CREATE' : 'no CREATE on the schema');
  },
};
