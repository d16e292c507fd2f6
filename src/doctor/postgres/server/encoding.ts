import { type Row, yesIf } from '../../row.ts';
import { type ProbedDatabase, scalar } from '../probed-database.ts';

export const encoding: Row<ProbedDatabase> = {
  title: 'the database has the encoding UTF8',
  meaning: 'Names of files in some scripts are refused.',
  remedy: "Create the database anew: create database … encoding 'UTF8' template template0.",
  async probe(database) {
    const found = await scalar(database, "current_setting('server_encoding')");
    return yesIf(found === 'UTF8', found);
  },
};
