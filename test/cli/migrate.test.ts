import { expect, it } from 'vitest';
import { runMigrate } from '../../src/cli/migrate.ts';
import { readConfig } from '../../src/config/config.ts';
import { captureTerminal } from '../harness/captured-terminal.ts';
import { createDatabase } from '../harness/database.ts';

const S3 = { S3_BUCKET: 'files', S3_ENDPOINT: 'http://127.0.0.1:1' };

it('npm run migrate names each migration that it has run', async () => {
  await using database = await createDatabase();
  const config = readConfig({ ...S3, DATABASE_URL: database.url });
  const first = captureTerminal();
  await runMigrate(config, first);
  expect(first.stdout).toMatch(/^(\d{4}-[a-z-]+: Success\n)+done\n$/);
  const second = captureTerminal();
  await runMigrate(config, second);
  expect(second.stdout).toBe('the schema is up to date\n');
});

it('npm run migrate refuses the embedded Postgres', async () => {
  const terminal = captureTerminal();
  await expect(runMigrate(readConfig({}), terminal)).rejects.toThrow(
    'DATABASE_URL is required, because the embedded Postgres is migrated at each start',
  );
  expect(terminal.stdout).toBe('');
});
