import { expect, test, vi } from 'vitest';
import { dataDirectory } from '../harness/data-directory.ts';
import { createDatabase } from '../harness/database.ts';
import { main } from './main.ts';

vi.setConfig({ testTimeout: 120_000 });

const S3 = {
  S3_BUCKET: 'files',
  S3_ENDPOINT: 'http://127.0.0.1:1',
  AWS_ACCESS_KEY_ID: 'key',
  AWS_SECRET_ACCESS_KEY: 'secret',
};

test('reconcile on embedded servers that no service has used finds nothing', async () => {
  await using directory = await dataDirectory();
  const { code, stdout, stderr } = await main('reconcile', { DATA_DIR: directory.path });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain('table and bucket agree');
});

test('reconcile without a schema says in one line how to make it', async () => {
  await using database = await createDatabase();
  expect(await main('reconcile', { ...S3, DATABASE_URL: database.url })).toEqual({
    code: 1,
    stdout: '',
    stderr: 'the schema is missing or of an older release: run "npm run migrate"\n',
  });
});

test('reconcile says in one line that Postgres cannot be reached', async () => {
  expect(
    await main('reconcile', { ...S3, DATABASE_URL: 'postgres://files:secret@127.0.0.1:1/files' }),
  ).toEqual({
    code: 1,
    stdout: '',
    stderr: 'reconcile has failed: connect ECONNREFUSED 127.0.0.1:1\n',
  });
});
