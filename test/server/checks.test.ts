import { rm } from 'node:fs/promises';
import type pg from 'pg';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createBreakers, noopBreakers } from '../../src/overload/circuit-breaker.ts';
import { createDatabase as databaseOn } from '../../src/postgres/connection/database.ts';
import { createPool } from '../../src/postgres/connection/pool.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { schemaCheck } from '../../src/postgres/statements/checks.ts';
import { locateBucket } from '../../src/s3/bucket-location.ts';
import { createClient } from '../../src/s3/client.ts';
import { createChecks } from '../../src/server/backends/checks.ts';
import { createDatabase, openPool, type TestDatabase } from '../harness/database.ts';
import { ampleWork } from '../harness/deadline.ts';
import { createLoginRole, type LoginRole } from '../harness/login-role.ts';
import { startRefusingS3 } from '../harness/refusing-s3.ts';
import { waitFor } from '../harness/wait-for.ts';

let server: TestDatabase;
let admin: pg.Pool;
let login: LoginRole;
let calls: pg.Pool;
let database: ReturnType<typeof databaseOn>;
let checks: ReturnType<typeof createChecks>;
let warnings: string[];

beforeEach(async () => {
  server = await createDatabase();
  admin = openPool(server.url, 2);
  await migrate(admin);
  login = await createLoginRole(admin, server.url);
  await admin.query(`grant select on files to ${login.name}`);
  const { url, passwordFile } = login;
  const postgres = { urls: [url], passwordFile };
  const run = <Result>(_: string, statement: () => Promise<Result>) => statement();
  calls = createPool({
    ...postgres,
    maxConnections: 1,
    connectTimeoutMs: 2_000,
    statementTimeoutMs: 5_000,
    onIdleError: () => undefined,
  });
  database = databaseOn(calls, run);
  warnings = [];
  const location = {
    region: 'us-east-1',
    bucket: 'none',
    endpoint: 'http://127.0.0.1:1',
    forcePathStyle: true,
    credentials: undefined,
  };
  const client = createClient(location);
  checks = createChecks({
    postgres,
    database,
    log: pino({ level: 'warn' }, { write: (line) => void warnings.push(JSON.parse(line).msg) }),
    client,
    bucket: await locateBucket(client, location),
    observe: { database: run, storage: run },
    breakers: { database: noopBreakers, storage: noopBreakers },
  });
});

afterEach(async () => {
  await Promise.all([calls.end(), checks.stop()]);
  await login[Symbol.asyncDispose]();
  await admin.end();
  await server.drop();
});

const refuseNew = () => admin.query(`alter role ${login.name} password 'other'`);

/** Ends the connections for calls and leaves the connection of the checks. */
async function endCalls(): Promise<void> {
  const { rows } = await calls.query('select pg_backend_pid() as pid');
  await admin.query('select pg_terminate_backend($1)', [rows[0].pid]);
  await waitFor(() => expect(calls.totalCount).toBe(0));
}

it('a new connection is opened every other check', async () => {
  const open = vi.fn();
  const own = async () => {
    const { rows } = await admin.query(
      `select pid from pg_stat_activity where usename = '${login.name}' order by backend_start desc limit 1`,
    );
    open(rows[0]?.pid);
  };
  for (let i = 0; i < 6; i++) {
    await checks.database();
    await own();
  }
  expect(new Set(open.mock.calls.flat()).size).toBeGreaterThan(2);
});

it.each<[string, () => Promise<unknown>]>([
  ['the password has changed', () => refuseNew()],
  ['the file of the password is missing', () => rm(login.passwordFile)],
])('passes with one warning while %s and an open connection serves calls', async (_, begin) => {
  await checks.database();
  await begin();
  for (let i = 0; i < 5; i++) await checks.database();
  expect(warnings).toEqual(['no new connection to Postgres']);
});

it('fails when calls have no connection, although the connection of the check works', async () => {
  await checks.database();
  await refuseNew();
  await endCalls();
  await expect(checks.database()).rejects.toMatchObject({ code: '28P01' });
});

it('fails when new connections are refused and the open one does not serve calls', async () => {
  await checks.database();
  await checks.database();
  await refuseNew();
  const holder = await admin.connect();
  await holder.query('begin; lock table files in access exclusive mode');
  const blocked = database.run(ampleWork(), schemaCheck.silent, {}).catch(() => undefined);
  const error = await checks.database().catch((error: unknown) => error);
  await holder.query('rollback');
  holder.release();
  await blocked;
  expect(error).toMatchObject({ code: '28P01' });
});

it('tells that a server answers reads and takes no writes', async () => {
  expect(await checks.database()).toEqual({ writes: true });
  await admin.query(`alter role ${login.name} set default_transaction_read_only = on`);
  await endCalls();
  // The connection of the check is replaced, too.
  for (let i = 0; i < 3; i++) await checks.database();
  expect(await checks.database()).toEqual({ writes: false });
});

it('passes while all connections for calls are busy', async () => {
  const holder = await calls.connect();
  await checks.database();
  holder.release();
});

it('an S3 that refuses the check closes the breakers, because it answers', async () => {
  await using s3 = await startRefusingS3('http://127.0.0.1:1');
  s3.refuse = () => ({ status: 403, code: 'AccessDenied' });
  const location = { region: 'us-east-1', bucket: 'none', endpoint: s3.endpoint, forcePathStyle: true };
  const credentials = { accessKeyId: 'a', secretAccessKey: 'b' };
  const client = createClient({ ...location, credentials });
  const storage = createBreakers(1);
  storage.reads.onFailure();
  storage.writes.onFailure();
  const run = <Result>(_: string, statement: () => Promise<Result>) => statement();
  const refused = createChecks({
    postgres: { urls: [login.url], passwordFile: login.passwordFile },
    database,
    log: pino({ level: 'silent' }),
    client,
    bucket: await locateBucket(client, location),
    observe: { database: run, storage: run },
    breakers: { database: noopBreakers, storage },
  });
  await expect(refused.storage()).rejects.toMatchObject({
    reason: 'STORAGE_REFUSED',
    cause: { message: expect.stringMatching(/^S3 refused HeadBucket with 403 AccessDenied: /) },
  });
  expect([storage.reads.open, storage.writes.open]).toEqual([false, false]);
  client.destroy();
  await refused.stop();
});
