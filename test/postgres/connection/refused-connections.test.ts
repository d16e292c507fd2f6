import { rm, writeFile } from 'node:fs/promises';
import { sql } from 'kysely';
import type pg from 'pg';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createDatabase as databaseOn } from '../../../src/postgres/connection/database.ts';
import { createPool } from '../../../src/postgres/connection/pool.ts';
import { prepare } from '../../../src/postgres/statements/prepared.ts';
import { createDatabase, openPool, type TestDatabase } from '../../harness/database.ts';
import { ampleWork } from '../../harness/deadline.ts';
import { createLoginRole, type LoginRole } from '../../harness/login-role.ts';
import { waitFor } from '../../harness/wait-for.ts';

const POOL_SIZE = 10;
const OPEN = 3;

const sleep = prepare<{ seconds: number }>('sleep', ({ seconds }) => sql`select pg_sleep(${seconds})`);

let server: TestDatabase;
let admin: pg.Pool;
let login: LoginRole;
let pool: pg.Pool;
let database: ReturnType<typeof databaseOn>;

beforeEach(async () => {
  server = await createDatabase();
  admin = openPool(server.url, 1);
  login = await createLoginRole(admin, server.url);
  const { url, passwordFile } = login;
  const options = {
    // The first server is no worse than the second, so the second must not be tried in its place.
    urls: [url, url],
    passwordFile,
    maxConnections: POOL_SIZE,
    // 500 calls wait in the queue at once, also on a busy machine.
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 5_000,
    onIdleError: () => undefined,
  };
  pool = createPool(options);
  database = databaseOn(pool, (_, run) => run(), options);
});

afterEach(async () => {
  await pool.end();
  await login[Symbol.asyncDispose]();
  await admin.end();
  await server.drop();
});

/** Runs statements at once, and returns the SQLSTATEs of those that failed. */
async function failures(statements: number, seconds: number): Promise<unknown[]> {
  const calls = Array.from({ length: statements }, () => database.run(ampleWork(), sleep, { seconds }));
  const outcomes = await Promise.allSettled(calls);
  return outcomes.flatMap((one) => (one.status === 'rejected' ? [one.reason.cause?.code ?? one.reason] : []));
}

async function openConnections(): Promise<void> {
  expect(await failures(OPEN, 0.1)).toEqual([]);
  expect(pool.totalCount).toBe(OPEN);
}

const FAULTS: [string, () => Promise<unknown>, () => Promise<unknown>][] = [
  [
    'no connection is left (53300)',
    () => admin.query(`alter role ${login.name} connection limit ${OPEN}`),
    () => admin.query(`alter role ${login.name} connection limit -1`),
  ],
  [
    'the password has changed (28P01)',
    () => admin.query(`alter role ${login.name} password 'other'`),
    () => admin.query(`alter role ${login.name} password 'secret'`),
  ],
  [
    'the file of the password is missing',
    () => rm(login.passwordFile),
    () => writeFile(login.passwordFile, 'secret'),
  ],
];

it.each(FAULTS)('500 calls are served by the open connections while %s', async (_, begin) => {
  await openConnections();
  await begin();
  expect(await failures(500, 0.003)).toEqual([]);
  // The total also counts connections that are being tried at this moment.
  await waitFor(() => expect(pool.totalCount).toBe(OPEN));
});

it.each(FAULTS)('the pool grows again soon after %s', async (_, begin, end) => {
  await openConnections();
  await begin();
  expect(await failures(POOL_SIZE, 0.01)).toEqual([]);
  await end();
  await waitFor(async () => {
    expect(await failures(POOL_SIZE, 0.05)).toEqual([]);
    expect(pool.totalCount).toBe(POOL_SIZE);
  });
});

it('calls that wait for an open connection get a new one when new ones work again', async () => {
  await openConnections();
  await admin.query(`alter role ${login.name} connection limit ${OPEN}`);
  let isBusy = true;
  const busy = failures(OPEN, 3).then((failed) => {
    isBusy = false;
    expect(failed).toEqual([]);
  });
  await waitFor(() => expect(pool.idleCount).toBe(0));
  const waiting = failures(POOL_SIZE - OPEN, 0);
  await waitFor(() => expect(pool.waitingCount).toBe(POOL_SIZE - OPEN));
  await admin.query(`alter role ${login.name} connection limit -1`);
  expect(await waiting).toEqual([]);
  // Before the busy connections come free.
  expect(isBusy).toBe(true);
  await busy;
});

it('calls fail at once when no connection is open', async () => {
  await openConnections();
  await admin.query(`alter role ${login.name} password 'other'`);
  await admin.query(`select pg_terminate_backend(pid) from pg_stat_activity where usename = '${login.name}'`);
  await waitFor(() => expect(pool.totalCount).toBe(0));
  const startMs = performance.now();
  expect(new Set(await failures(20, 0))).toEqual(new Set(['28P01']));
  // Long before the calls would give up their wait for a connection.
  expect(performance.now() - startMs).toBeLessThan(4_000);
});

it('an idle connection stays open while new ones are refused', async () => {
  pool.options.idleTimeoutMillis = 50;
  expect(await failures(OPEN, 0.1)).toEqual([]);
  await admin.query(`alter role ${login.name} connection limit ${pool.totalCount}`);
  expect(await failures(POOL_SIZE, 0.01)).toEqual([]);
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(pool.totalCount).toBe(OPEN);
});
