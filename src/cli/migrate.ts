import type { Config } from '../config/config.ts';
import { ConfigError } from '../config/config-error.ts';
import { reasonOf, StartupError } from '../config/startup-error.ts';
import { migrateAt } from '../postgres/migrate.ts';
import type { Terminal } from './terminal.ts';

/** The operator's command `npm run migrate` brings the schema of DATABASE_URL up to date. */
export async function runMigrate({ backend, database }: Config, terminal: Terminal): Promise<void> {
  if (backend.kind === 'embedded') {
    throw new ConfigError([
      'DATABASE_URL is required, because the embedded Postgres is migrated at each start',
    ]);
  }
  const { pooler } = database;
  const done = await migrateAt({ ...backend.database, pooler }).catch((error: unknown) => {
    throw new StartupError(`the schema cannot be brought up to date: ${reasonOf(error)}`, { cause: error });
  });
  for (const name of done) terminal.print(`${name}: Success`);
  terminal.print(done.length === 0 ? 'the schema is up to date' : 'done');
}
