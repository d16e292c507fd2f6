/**
 * `src/doctor/postgres/server` has the rows about the server and the database: what they are, and what their settings
 * guarantee to every client. Settings that the service itself makes for its connections do not belong here, but in
 * `../connection`.
 */
import { type Row, yesIf } from '../../row.ts';
import { type ProbedDatabase, scalar } from '../probed-database.ts';

const OLDEST = 14;

export const version: Row<ProbedDatabase> = {
  title: `Postgres has version ${OLDEST} or later`,
  meaning: 'Statements of the service fail.',
  remedy: 'Upgrade Postgres.',
  async probe(database) {
    const found = await scalar(database, "current_setting('server_version')");
    return yesIf(Number.parseInt(found, 10) >= OLDEST, found);
  },
};
