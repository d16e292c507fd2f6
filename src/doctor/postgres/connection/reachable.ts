import { no, type Row, yes } from '../../row.ts';
import { type ProbedDatabase, scalar } from '../probed-database.ts';

export const reachable: Row<ProbedDatabase> = {
  title: 'Postgres accepts connections',
  meaning: 'Every call fails with DATABASE_UNAVAILABLE.',
  remedy: 'Check DATABASE_URL, the password, the network, and DATABASE_POOLER.',
  probe: (database) => scalar(database, '1').then(() => yes('connected'), toFinding),
};

const toFinding = ({ message, code }: Error & { code?: string }) => no(message || String(code));
