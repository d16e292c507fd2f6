/** The service that was started before `npm run migrate`. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, vi } from 'vitest';
import { readConfig } from '../../src/config/config.ts';
import { migrateAt } from '../../src/postgres/migrate.ts';
import { startApp } from '../../src/server/app.ts';
import { openTestBucket } from '../harness/bucket.ts';
import { createDatabase } from '../harness/database.ts';
import { s3Environment } from '../harness/s3-environment.ts';
import { ofCephRgw } from '../hints/messages.ts';
import { send, TOKEN } from '../hints/send.ts';
import { captureLog } from '../observability/captured-log.ts';

vi.setConfig({ testTimeout: 30_000 });

/** Within this time, the sweeper and the dispatcher of events run two rounds at least. */
const ROUNDS_MS = 3_200;

it('without a schema, the log has one line, which tells to migrate, until the schema is there', async () => {
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await createDatabase());
  const bucket = await openTestBucket();
  stack.defer(() => bucket.stop());
  process.env.AWS_ACCESS_KEY_ID = bucket.credentials.accessKeyId;
  process.env.AWS_SECRET_ACCESS_KEY = bucket.credentials.secretAccessKey;
  const config = readConfig({
    GRPC_PORT: '0',
    HTTP_PORT: '0',
    DATABASE_URL: database.url,
    MIGRATE_ON_START: 'false',
    SWEEP_INTERVAL_SECONDS: '1',
    EVENTS_URL: 'http://127.0.0.1:1',
    STORAGE_EVENTS_TOKEN: TOKEN,
    ...s3Environment(bucket),
  });
  const { log, lines, text } = captureLog('warn');
  const app = await startApp(config, log);
  stack.defer(() => app.stop());
  await app.prepared;
  const httpUrl = `http://127.0.0.1:${app.httpPort}`;
  expect((await send({ httpUrl }, ofCephRgw(bucket.bucket, 'ada_a.txt'))).status).toBe(503);
  await sleep(ROUNDS_MS);

  expect(lines()).toMatchObject([
    { msg: 'the schema is missing or of an older release: run "npm run migrate"', err: { code: '42P01' } },
  ]);
  expect(text()).not.toContain('stack');
  await migrateAt({ urls: [database.url] });
  await expect.poll(async () => (await fetch(`${httpUrl}/readyz`)).status).toBe(200);
});
