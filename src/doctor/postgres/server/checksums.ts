import { type Row, yesIf } from '../../row.ts';
import { type ProbedDatabase, scalar } from '../probed-database.ts';

export const checksums: Row<ProbedDatabase> = {
  title: 'Postgres notices a page that its disk has changed',
  isAdvice: true,
  meaning: 'Damage by a disk can stay unnoticed, until the backups have it, too.',
  remedy:
    'Stop Postgres, and run pg_checksums --enable. Managed services may check pages in their own storage.',
  async probe(database) {
    const found = await scalar(database, "current_setting('data_checksums')");
    return yesIf(found === 'on', `data_checksums = ${found}`);
  },
};
