import { expect, it } from 'vitest';
import { readConfig } from '../../src/config/config.ts';
import { startApp } from '../../src/server/app.ts';
import { openTestBucket } from '../harness/bucket.ts';
import { createDatabase } from '../harness/database.ts';
import { startFaultProxy } from '../harness/fault-proxy.ts';
import { s3Environment } from '../harness/s3-environment.ts';
import { captureLog } from '../observability/captured-log.ts';
import { ofCephRgw } from './messages.ts';
import { PATH, send, TOKEN } from './send.ts';

/** The service with a proxy before its Postgres, and everything that it logs. */
async function loggedService() {
  await using stack = new AsyncDisposableStack();
  const database = await createDatabase();
  stack.defer(() => database.drop());
  const bucket = await openTestBucket();
  stack.defer(() => bucket.stop());
  process.env.AWS_ACCESS_KEY_ID = bucket.credentials.accessKeyId;
  process.env.AWS_SECRET_ACCESS_KEY = bucket.credentials.secretAccessKey;
  const url = new URL(database.url);
  const proxy = stack.use(await startFaultProxy({ port: Number(url.port) }));
  url.port = String(proxy.port);
  const config = readConfig({
    GRPC_PORT: '0',
    HTTP_PORT: '0',
    DATABASE_URL: url.href,
    MIGRATE_ON_START: 'true',
    STORAGE_EVENTS_TOKEN: TOKEN,
    ...s3Environment(bucket),
  });
  const captured = captureLog('trace');
  const app = await startApp(config, captured.log);
  stack.defer(() => app.stop());
  await app.prepared;
  const started = stack.move();
  const httpUrl = `http://127.0.0.1:${app.httpPort}`;
  return { httpUrl, proxy, bucket, captured, [Symbol.asyncDispose]: () => started.disposeAsync() };
}

it('while Postgres does not answer, a message gets 503 in time, and no log has the token', async () => {
  await using service = await loggedService();
  const { proxy, bucket, captured } = service;
  const message = ofCephRgw(bucket.bucket, 'ada_a.txt');
  const byPath = { path: `${PATH}/${TOKEN}`, headers: {} };
  expect(await send(service, message, byPath)).toMatchObject({ status: 204 });

  await proxy.set({ kind: 'hanging' });
  const begunMs = performance.now();
  const refused = { status: 503, headers: { 'retry-after': '1' } };
  const answers = await Promise.all([send(service, message, byPath), send(service, message)]);
  for (const answer of answers) expect(answer).toMatchObject(refused);
  // The two wait for two statements, one after the other.
  expect(performance.now() - begunMs).toBeLessThan(3_500);
  const burst = Array.from({ length: 20 }, () => send(service, message));
  for (const answer of await Promise.all(burst)) expect(answer).toMatchObject(refused);
  // A message that needs no row is answered.
  expect(await send(service, {}, byPath)).toMatchObject({ status: 204 });

  await proxy.set({ kind: 'none' });
  await expect.poll(async () => (await send(service, message, byPath)).status, { timeout: 10_000 }).toBe(204);

  await send(service, message, { path: `${PATH}/wrong`, headers: {} });
  await send(service, message, { ...byPath, method: 'GET' });
  await send(service, 'no JSON', byPath);
  const failed = captured.lines().filter(({ msg }) => `${msg}`.startsWith('a message of S3 failed'));
  // At most one line in a second.
  expect(failed.length).toBeGreaterThan(0);
  expect(failed.length).toBeLessThan(10);
  expect(captured.text()).not.toContain(TOKEN);
  expect(captured.text()).not.toContain(encodeURIComponent(TOKEN));
});
