import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase as databaseOn } from '../../../src/postgres/connection/database.ts';
import { createPool, type PoolOptions } from '../../../src/postgres/connection/pool.ts';
import { migrate } from '../../../src/postgres/migrate.ts';
import { find } from '../../../src/postgres/statements/reads.ts';
import { purge } from '../../../src/postgres/statements/sweeps.ts';
import { createDatabase, openPool, type TestDatabase } from '../../harness/database.ts';
import { ampleWork } from '../../harness/deadline.ts';
import { type FaultProxy, startFaultProxy } from '../../harness/fault-proxy.ts';
import { temporaryDirectory } from '../../harness/temporary-directory.ts';
import { waitFor } from '../../harness/wait-for.ts';

const CONNECT_TIMEOUT_MS = 2_000;
const ROW = { userId: 'ada', s3Key: 'none', verificationTtlSeconds: 0, longestUploadSeconds: 0 };

let database: TestDatabase;
let admin: pg.Pool;
beforeAll(async () => {
  database = await createDatabase();
  admin = openPool(database.url);
  await migrate(admin);
});
afterAll(async () => {
  await admin.end();
  await database.drop();
});

const pools: pg.Pool[] = [];
afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.end()));
});

function open(over: Partial<PoolOptions>) {
  const options = {
    urls: [database.url],
    maxConnections: 3,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    statementTimeoutMs: 2_000,
    onIdleError: () => undefined,
    ...over,
  };
  const pool = createPool(options);
  pools.push(pool);
  return databaseOn(pool, (_, run) => run(), options);
}

function through({ port }: FaultProxy, readOnly = false): string {
  const url = new URL(database.url);
  url.host = `127.0.0.1:${port}`;
  if (readOnly) url.searchParams.set('options', '-c default_transaction_read_only=on');
  return url.href;
}

async function startProxy(): Promise<FaultProxy> {
  const { port, hostname } = new URL(database.url);
  return startFaultProxy({ port: Number(port || 5432), host: hostname });
}

describe('of several servers', () => {
  const writes = async (db: ReturnType<typeof open>) => {
    expect(await db.run(ampleWork(), purge.silent, ROW)).toEqual([]);
  };

  it('the one that takes writes is used, and the new one after a failover', async () => {
    await using first = await startProxy();
    await using second = await startProxy();
    const db = open({ urls: [through(first, true), through(second)], mustBeWritable: true });
    await writes(db);
    expect([first.connections, second.connections]).toEqual([0, 1]);

    // Writes may hold three of the four connections (WRITES_SHARE in src/postgres/connection/database.ts).
    const urls = [through(first), through(second)];
    const failedOver = open({ urls, mustBeWritable: true, maxConnections: 4 });
    await Promise.all([1, 2, 3].map(() => writes(failedOver)));
    expect([first.connections, second.connections]).toEqual([3, 1]);
    await first.set({ kind: 'refused' });
    await waitFor(() => writes(failedOver));
    expect(second.connections).toBe(2);
  });

  it('a server that does not answer costs one share of the time, and then nothing', async () => {
    await using hanging = await startProxy();
    await using working = await startProxy();
    await hanging.set({ kind: 'hanging' });
    const db = open({ urls: [through(hanging), through(working)], mustBeWritable: true });
    const startMs = performance.now();
    await writes(db);
    const firstMs = performance.now() - startMs;
    expect(firstMs).toBeGreaterThan(CONNECT_TIMEOUT_MS / 2 - 100);
    // If the pool gave the first server all of the time, the write would fail.
    await Promise.all([1, 2, 3].map(() => writes(db)));
    expect(hanging.accepted).toBe(1);
  });

  it('reads and writes fail while none takes writes, and say why', async () => {
    await using first = await startProxy();
    await using second = await startProxy();
    const db = open({ urls: [through(first, true), through(second, true)], mustBeWritable: true });
    await expect(db.run(ampleWork(), find, ROW)).rejects.toMatchObject({
      reason: 'DATABASE_UNAVAILABLE',
      cause: { message: 'the server takes no writes: it is a standby, or read-only' },
    });
    await waitFor(() => expect(first.connections + second.connections).toBe(0));
  });

  it('the next one is not asked about a wrong password', async () => {
    await using first = await startProxy();
    await using second = await startProxy();
    const wrong = new URL(through(first));
    wrong.password = 'wrong';
    const db = open({ urls: [wrong.href, through(second)], mustBeWritable: true });
    await expect(db.run(ampleWork(), find, ROW)).rejects.toMatchObject({ cause: { code: '28P01' } });
    expect(second.connections).toBe(0);
  });
});

describe('the file of the password', () => {
  it('is read for each connection, so the password may change', async () => {
    await using directory = await temporaryDirectory();
    const role = `role_of_${new URL(database.url).pathname.slice(1)}`;
    const path = join(directory.path, 'password');
    // Replaces the file in one step, as Kubernetes replaces a mounted secret.
    const setFile = async (password: string) => {
      await writeFile(`${path}.new`, `${password}\n`);
      await rename(`${path}.new`, path);
    };
    await admin.query(`create role ${role} login password 'first'`);
    await admin.query(`grant select on files to ${role}`);
    await setFile('first');
    const url = new URL(database.url);
    url.username = role;
    url.password = '';
    const db = open({ urls: [url.href], passwordFile: path });
    const works = async () => expect(await db.run(ampleWork(), find, ROW)).toEqual([]);
    await works();

    await admin.query(`alter role ${role} password 'second'`);
    await admin.query(`select pg_terminate_backend(pid) from pg_stat_activity where usename = '${role}'`);
    await waitFor(() =>
      expect(db.run(ampleWork(), find, ROW)).rejects.toMatchObject({ cause: { code: '28P01' } }),
    );
    await setFile('second');
    await works();

    await Promise.all(pools.splice(0).map((pool) => pool.end()));
    await admin.query(`drop owned by ${role}`);
    await admin.query(`drop role ${role}`);
  });

  it('is named when it cannot be read', async () => {
    const url = new URL(database.url);
    url.password = '';
    const db = open({ urls: [url.href], passwordFile: '/nowhere/password' });
    await expect(db.run(ampleWork(), find, ROW)).rejects.toMatchObject({
      reason: 'DATABASE_UNAVAILABLE',
      cause: { message: expect.stringContaining('/nowhere/password') },
    });
  });
});
