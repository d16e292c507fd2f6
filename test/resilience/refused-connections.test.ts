import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { anyFreePort } from '../../src/dev/postgres/free-port.ts';
import { type EmbeddedPostgres, startPostgres } from '../../src/dev/postgres/postgres.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { startTestObjectStore } from '../harness/object-store.ts';
import { s3Environment } from '../harness/s3-environment.ts';
import { startService } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { startLoad, until } from './outage.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const ROLE = 'files_service';

const directory = forAllTests(temporaryDirectory);
let postgres: EmbeddedPostgres;
beforeAll(async () => {
  const port = await anyFreePort();
  const settings = { fsync: 'off', max_connections: '20' };
  postgres = await startPostgres({ directory: directory.path, port, settings });
});
afterAll(() => postgres?.stop());
const secrets = forAllTests(temporaryDirectory);
const objects = forAllTests(() => startTestObjectStore());
let service: Awaited<ReturnType<typeof startService>>;
let admin: pg.Client;

beforeAll(async () => {
  admin = new pg.Client({ connectionString: postgres.url });
  await admin.connect();
  await admin.query(
    `create role ${ROLE} login password 'first'; grant create, usage on schema public to ${ROLE}`,
  );
  await setPasswordFile('first');
  const url = new URL(postgres.url);
  url.username = ROLE;
  url.password = '';
  service = await startService({
    environment: {
      DATABASE_URL: url.href,
      DATABASE_PASSWORD_FILE: join(secrets.path, 'password'),
      MIGRATE_ON_START: 'true',
      ...s3Environment(objects),
    },
  });
});
afterAll(async () => {
  await service.stop();
  await admin.end();
});

/** Replaces the file at once, as a mounted secret is replaced. */
async function setPasswordFile(password: string): Promise<void> {
  const path = join(secrets.path, 'password');
  await writeFile(`${path}.new`, password);
  await rename(`${path}.new`, path);
}

async function readiness(): Promise<number> {
  return (await fetch(`${service.http}/readyz`)).status;
}

function startCalls() {
  const ada = service.client({ 'x-user-id': 'ada' });
  const { answers, stop } = startLoad({ list: () => ada.listFiles({}, { timeoutMs: 3_000 }) });
  return {
    stop,
    since: (at: number) => {
      const recent = answers.filter((one) => one.at - one.ms >= at);
      return { all: recent.length, failed: recent.filter(({ code }) => code !== 'Ok').length };
    },
  };
}

/** Ends the connections of the service but this many. */
const endConnections = (left: number) =>
  admin.query(
    `select pg_terminate_backend(pid) from
      (select pid from pg_stat_activity where usename = '${ROLE}' order by backend_start offset ${left}) as newer`,
  );

test('no call fails and /readyz stays 200 while another client holds all of max_connections', async () => {
  const calls = startCalls();
  const startedAt = performance.now();
  await until(() => calls.since(startedAt).all > 100, 5_000);
  const held: pg.Client[] = [];
  const holdAll = async () => {
    for (;;) {
      const url = new URL(postgres.url);
      url.username = ROLE;
      url.password = 'first';
      const client = new pg.Client({ connectionString: url.href });
      client.on('error', () => undefined);
      try {
        await client.connect();
        held.push(client);
      } catch {
        return;
      }
    }
  };
  onTestFinished(async () => void (await Promise.all(held.map((client) => client.end()))));
  const statuses = new Set<number>();
  const fullAt = performance.now();
  for (let i = 0; i < 20; i++) {
    await holdAll();
    // More calls at once than connections are open.
    const clients = Array.from({ length: 25 }, (_, j) => service.client({ 'x-user-id': `user${j}` }));
    await Promise.all(clients.map((client) => client.listFiles({})));
    statuses.add(await readiness());
    await sleep(200);
  }
  expect(held.length).toBeGreaterThan(3);
  expect(calls.since(fullAt)).toMatchObject({ failed: 0 });
  expect(statuses).toEqual(new Set([200]));
  await calls.stop();
});

test('a rotated password: calls are served or /readyz is 503 within 5 s, and the new password serves all', async () => {
  await until(async () => (await readiness()) === 200, 5_000);
  const calls = startCalls();
  const startedAt = performance.now();
  await until(() => calls.since(startedAt).all > 100, 5_000);
  await admin.query(`alter role ${ROLE} password 'second'`);
  await endConnections(2);
  const servedAt = performance.now();
  await sleep(3_000);
  expect(calls.since(servedAt + 200)).toMatchObject({ failed: 0 });
  expect(await readiness()).toBe(200);
  expect(service.log().map(({ msg }) => msg)).toContain('no new connection to Postgres');

  await endConnections(0);
  await until(async () => (await readiness()) === 503, 5_000);
  await setPasswordFile('second');
  const rightAt = performance.now();
  await until(async () => (await readiness()) === 200 && calls.since(rightAt + 200).failed === 0, 5_000);
  await sleep(1_000);
  expect(calls.since(rightAt + 200).failed).toBe(0);
  await calls.stop();
});
