import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, expect, type TestContext, test, vi } from 'vitest';
import { anyFreePort } from '../../src/dev/postgres/free-port.ts';
import { type EmbeddedPostgres, startPostgres } from '../../src/dev/postgres/postgres.ts';
import { startFaultProxy } from '../harness/fault-proxy.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { LONG } from '../harness/long-form.ts';
import { startTestObjectStore } from '../harness/object-store.ts';
import { processesOf } from '../harness/processes.ts';
import { md5 } from '../harness/random.ts';
import { s3Environment } from '../harness/s3-environment.ts';
import { startService } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { upload } from '../harness/upload.ts';
import { DEADLINE_MS, endure, type Outage, until } from './outage.ts';
import { report } from './outcome.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const POOL_SIZE = 4;

/** The connections of the pool, and the connection of the health check. */
const CONNECTIONS_MAX = POOL_SIZE + 1;

/** The role of the service. It is not a superuser, because Postgres reserves connections for superusers. */
const ROLE = 'files_service';

/** The directory of a separate Postgres server, which the tests can freeze and stop. */
const directory = forAllTests(temporaryDirectory);
const port = await anyFreePort();
const start = () =>
  startPostgres({ directory: directory.path, port, settings: { fsync: 'off', max_connections: '30' } });

let postgres: EmbeddedPostgres;
beforeAll(async () => {
  postgres = await start();
  await asAdmin(
    `create role ${ROLE} login password 'secret'; grant create, usage on schema public to ${ROLE}`,
  );
});
afterAll(() => postgres?.stop());
const proxy = forAllTests(() => startFaultProxy({ port }));
const objects = forAllTests(() => startTestObjectStore());
const service = forAllTests(() => {
  const url = new URL(postgres.url);
  url.port = String(proxy.port);
  url.username = ROLE;
  url.password = 'secret';
  return startService({
    environment: {
      DATABASE_URL: url.href,
      DATABASE_POOL_SIZE: String(POOL_SIZE),
      MIGRATE_ON_START: 'true',
      ...s3Environment(objects),
    },
  });
});
afterAll(() => service.stop());

let calls: Record<string, () => Promise<unknown>>;

beforeAll(async () => {
  const ada = service.client({ 'x-user-id': 'ada' });
  const s3Key = await upload(ada, 'a.txt', 'bytes');
  await ada.listFiles({});
  const timeout = { timeoutMs: DEADLINE_MS };
  calls = {
    create: () => {
      const maker = service.client({ 'x-user-id': randomUUID() });
      return maker.createPresignedUpload(
        { filename: 'new.txt', mimeType: 'text/plain', md5: md5(randomUUID()) },
        timeout,
      );
    },
    list: () => ada.listFiles({}, timeout),
    get: () => ada.getFile({ s3Key }, timeout),
  };
});

async function asAdmin(...statements: string[]): Promise<pg.QueryResult> {
  const client = new pg.Client({ connectionString: postgres.url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    let result: pg.QueryResult | undefined;
    for (const statement of statements) result = await client.query(statement);
    return result as pg.QueryResult;
  } finally {
    await client.end();
  }
}

const killBackends = `select pg_terminate_backend(pid) from pg_stat_activity where usename = '${ROLE}'`;

async function signal(name: 'SIGSTOP' | 'SIGCONT'): Promise<void> {
  for (const pid of await processesOf(postgres.pid)) process.kill(pid, name);
}

/** Checks that no connection is left over from an outage. */
async function leavesNoConnection(): Promise<void> {
  const open = async () => {
    const { rows } = await asAdmin(`select from pg_stat_activity where usename = '${ROLE}'`);
    return rows.length;
  };
  await until(async () => (await open()) <= CONNECTIONS_MAX && proxy.connections <= CONNECTIONS_MAX, 5_000);
}

async function outlives(context: TestContext, outage: Outage, notReady: boolean) {
  const seen = await endure(service, calls, outage);
  if (notReady) expect(seen.ready).toContain(503);
  else expect(seen.ready).not.toContain(503);
  await until(async () => (await fetch(`${service.http}/readyz`)).status === 200, 5_000);
  await leavesNoConnection();
  const outcome = notReady ? 'UNAVAILABLE, not ready, alive; then serves' : 'continues to serve';
  report(context, outcome, seen.figure);
  return seen;
}

/** These cases also run in `npm test`. */
const always = test;
const long = test.runIf(LONG);

always('Postgres hangs: it accepts connections and sends nothing', async (context) => {
  const { warned } = await outlives(
    context,
    {
      begin: () => proxy.set({ kind: 'hanging' }),
      end: () => proxy.set({ kind: 'none' }),
      // The four workers of the load may wait for two time-outs: first with four writes, until the circuit breaker of
      // writes opens, and then with four reads.
      shortMs: 7_500,
      longMs: 10_000,
    },
    true,
  );
  expect(warned.length).toBeGreaterThan(10);
  for (const { ms } of warned) expect(ms).toBeLessThan(1_000);
});

always('Postgres terminates backends under load', async (context) => {
  const { failed } = await endure(service, calls, {
    begin: async () => {
      for (let i = 0; i < (LONG ? 20 : 3); i++) {
        await asAdmin(killBackends);
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
    },
    end: async () => undefined,
    shortMs: 0,
    longMs: 0,
  }).then((seen) => {
    report(context, 'no call fails', seen.figure);
    return seen;
  });
  expect(failed).toEqual([]);
  await leavesNoConnection();
});

long('Postgres is frozen (SIGSTOP)', async (context) => {
  await outlives(
    context,
    { begin: () => signal('SIGSTOP'), end: () => signal('SIGCONT'), shortMs: 4_500, longMs: 10_000 },
    true,
  );
});

long('Postgres is stopped for 30 s', async (context) => {
  await outlives(
    context,
    {
      begin: () => postgres.stop(),
      end: async () => {
        postgres = await start();
      },
      shortMs: 3_000,
      longMs: 30_000,
    },
    true,
  );
});

long('Postgres refuses connections', async (context) => {
  await outlives(
    context,
    {
      begin: () => proxy.set({ kind: 'refused' }),
      end: () => proxy.set({ kind: 'none' }),
      shortMs: 3_000,
      longMs: 10_000,
    },
    true,
  );
});

long('Postgres is slow: each answer takes 200 ms longer', async (context) => {
  const { failed } = await outlives(
    context,
    {
      begin: () => proxy.set({ kind: 'slow', milliseconds: 200 }),
      end: () => proxy.set({ kind: 'none' }),
      shortMs: 3_000,
      longMs: 10_000,
    },
    false,
  );
  expect(failed).toEqual([]);
});

long('Postgres is read-only, as a replica is', async (context) => {
  const readOnly = (value: string) => () =>
    asAdmin(
      `alter role ${ROLE} ${value} default_transaction_read_only ${value === 'set' ? '= on' : ''}`,
      killBackends,
    );
  const { failed } = await outlives(
    context,
    { begin: readOnly('set'), end: readOnly('reset'), shortMs: 2_000, longMs: 10_000 },
    false,
  );
  expect(new Set(failed.map(({ call }) => call))).toEqual(new Set(['create']));
});

long('Postgres has no connection left (53300)', async (context) => {
  const limit = (connections: number) => () =>
    asAdmin(`alter role ${ROLE} connection limit ${connections}`, killBackends);
  await outlives(context, { begin: limit(0), end: limit(-1), shortMs: 3_000, longMs: 10_000 }, true);
});

long('Every connection waits for a lock', async (context) => {
  const holder = new pg.Client({ connectionString: postgres.url });
  await holder.connect();
  const { failed } = await outlives(
    context,
    {
      begin: () => holder.query('begin; lock table files in share mode'),
      end: () => holder.query('rollback'),
      shortMs: 4_000,
      longMs: 10_000,
    },
    false,
  );
  await holder.end();
  expect(failed.length).toBeGreaterThan(0);
});
