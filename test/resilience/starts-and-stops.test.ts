import { expect, test, vi } from 'vitest';
import { healthWatch, idleHttp1 } from '../e2e/open-connections.ts';
import { execute } from '../harness/database.ts';
import { externalServers } from '../harness/external-servers.ts';
import { type Fault, type FaultProxy, startFaultProxy } from '../harness/fault-proxy.ts';
import { launchService, type ServiceProcess, startService } from '../harness/service-process.ts';
import { report } from './outcome.ts';

/** Each test starts real processes, which takes seconds on a busy machine. */
vi.setConfig({ testTimeout: 60_000 });

interface Servers extends AsyncDisposable {
  readonly environment: Record<string, string>;
  readonly postgres: FaultProxy;
  readonly s3: FaultProxy;
}

/** Starts a database and a bucket, each behind a fault proxy. */
async function startServers(): Promise<Servers> {
  await using starting = new AsyncDisposableStack();
  const { environment } = starting.use(await externalServers());
  const database = new URL(environment.DATABASE_URL ?? '');
  const store = new URL(environment.S3_ENDPOINT ?? '');
  const postgres = starting.use(await startFaultProxy({ port: Number(database.port) }));
  const s3 = starting.use(await startFaultProxy({ port: Number(store.port) }));
  database.host = `127.0.0.1:${postgres.port}`;
  store.host = `127.0.0.1:${s3.port}`;
  const opened = starting.move();
  return {
    environment: { ...environment, DATABASE_URL: database.href, S3_ENDPOINT: store.origin },
    postgres,
    s3,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

const seconds = (milliseconds: number) => `${(milliseconds / 1_000).toFixed(1)} s`;

test('a start without Postgres and S3 is alive at once, and ready after their return', async (context) => {
  await using servers = await startServers();
  const { environment, postgres, s3 } = servers;
  const both = (fault: Fault) => Promise.all([postgres.set(fault), s3.set(fault)]);
  await both({ kind: 'hanging' });
  await using service = launchService({ environment: { ...environment, MIGRATE_ON_START: 'true' } });

  const { httpPort } = await service.logged('serving', 30_000);
  const http = `http://127.0.0.1:${httpPort}`;
  expect((await fetch(`${http}/livez`)).status).toBe(200);
  expect((await fetch(`${http}/readyz`)).status).toBe(503);
  await both({ kind: 'refused' });
  await service.logged('the schema update waits for Postgres');

  await both({ kind: 'none' });
  const startMs = performance.now();
  await expect.poll(async () => (await fetch(`${http}/readyz`)).status, { timeout: 20_000 }).toBe(200);
  report(context, 'alive at once, then ready', `${seconds(performance.now() - startMs)} after their return`);
  service.kill('SIGTERM');
  expect(await service.untilGone()).toEqual({ code: 0, signal: null });
});

test('MIGRATE_ON_START on a database with a foreign table `files` exits with 1 and the reason', async (context) => {
  await using servers = await startServers();
  const { environment } = servers;
  await execute(environment.DATABASE_URL ?? '', 'create table files (foreign_column text)');
  await using service = launchService({ environment: { ...environment, MIGRATE_ON_START: 'true' } });
  expect(await service.untilGone()).toEqual({ code: 1, signal: null });
  expect(service.printed.stderr).toBe(
    'the schema cannot be brought up to date: relation "files" already exists\n',
  );
  report(context, 'ends with code 1 and the reason');
});

test('after SIGTERM the service is not ready, but serves calls until the delay ends', async (context) => {
  await using servers = await startServers();
  await using service = await ready(servers, { STOP_DELAY_SECONDS: '2' });
  using watch = await healthWatch(service);
  using idle = await idleHttp1(service);
  service.kill('SIGTERM');
  await service.logged('stopping');
  await expect
    .poll(() => watch.statuses, { timeout: 1_000, interval: 10 })
    .toEqual(['SERVING', 'NOT_SERVING']);
  const readyz = await fetch(`${service.http}/readyz`);
  expect([readyz.status, readyz.headers.get('connection')]).toEqual([503, 'close']);
  expect((await service.client({ 'x-user-id': 'ada' }).listFiles({})).files).toEqual([]);
  // The idle connection is kept until the delay is over, because its client may be about to call.
  expect(await Promise.race([idle.ended.then(() => 'closed'), Promise.resolve('open')])).toBe('open');
  expect(await service.untilGone()).toEqual({ code: 0, signal: null });
  report(context, 'not ready, but still answers calls');
});

test('SIGINT stops the service without the delay', async () => {
  await using servers = await startServers();
  await using service = await ready(servers, { STOP_DELAY_SECONDS: '300' });
  service.kill('SIGINT');
  expect(await service.untilGone()).toEqual({ code: 0, signal: null });
});

test('SIGTERM ends the service within 10 s while Postgres and S3 hang and calls are under way', async (context) => {
  await using servers = await startServers();
  const { postgres, s3 } = servers;
  // The empty value sets the default delay.
  await using service = await ready(servers, { STOP_DELAY_SECONDS: '' });
  const client = service.client({ 'x-user-id': 'ada' });
  await client.listFiles({});
  await Promise.all([postgres.set({ kind: 'hanging' }), s3.set({ kind: 'hanging' })]);
  const calls = Array.from({ length: 20 }, () => client.listFiles({}, { timeoutMs: 30_000 }));
  const startMs = performance.now();
  service.kill('SIGTERM');
  const ends = await Promise.allSettled(calls);
  expect(ends.map(({ status }) => status)).toEqual(Array(20).fill('rejected'));
  expect(await service.untilGone()).toEqual({ code: 0, signal: null });
  const tookMs = performance.now() - startMs;
  expect(tookMs).toBeLessThan(10_000);
  report(context, 'exits with code 0', `after ${seconds(tookMs)}`);
});

function ready({ environment }: Servers, settings: Record<string, string>): Promise<ServiceProcess> {
  return startService({ environment: { ...environment, MIGRATE_ON_START: 'true', ...settings } });
}
