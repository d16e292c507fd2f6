import { randomBytes } from 'node:crypto';
import { chown, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import type pg from 'pg';
import { afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, test, vi } from 'vitest';
import { createDatabase as databaseOn } from '../../../src/postgres/connection/database.ts';
import { createPool, type PoolOptions } from '../../../src/postgres/connection/pool.ts';
import { prepare } from '../../../src/postgres/statements/prepared.ts';
import { createAuthority } from '../../harness/certificates.ts';
import { ampleWork } from '../../harness/deadline.ts';
import { startFaultProxy } from '../../harness/fault-proxy.ts';
import { forAllTests } from '../../harness/for-all-tests.ts';
import { startSynchronousPostgres } from '../../harness/synchronous-postgres.ts';
import { startPgbouncer } from '../../servers/pgbouncer.ts';
import { findServer } from '../../servers/server-program.ts';

const POOL_SIZE = 3;

const pgbouncer = await findServer('pgbouncer');

const write = prepare<{ value: string }, { value: string }>(
  'write',
  ({ value }) => sql`insert into written (value) values (${value}) returning value`,
);
const slowRead = prepare<{ seconds: number }>('read', ({ seconds }) => sql`select pg_sleep(${seconds})`);
const slowPid = prepare<{ seconds: number }, { pid: number }>(
  'pid',
  ({ seconds }) => sql`select pg_backend_pid() as pid from pg_sleep(${seconds})`,
);
const unavailable = { name: 'FileError', reason: 'DATABASE_UNAVAILABLE', retryAfterMs: 1_000 };

/** The socket is in the data directory, which Postgres may write. */
const postgres = forAllTests(() => startSynchronousPostgres({ unix_socket_directories: '.' }));
beforeAll(() => postgres.admin.query('create table written (value text)'));
beforeEach(() => postgres.admin.query('truncate written'));

const pools: pg.Pool[] = [];
afterEach(async () => {
  await postgres.recover();
  await Promise.all(pools.splice(0).map((pool) => pool.end()));
});

function open(over: Partial<PoolOptions> = {}) {
  const options = {
    urls: [postgres.url],
    maxConnections: POOL_SIZE,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 5_000,
    onIdleError: () => undefined,
    ...over,
  };
  const pool = createPool(options);
  pools.push(pool);
  return { pool, database: databaseOn(pool, (_, run) => run(), options) };
}

function withUrl(change: (url: URL) => void): string {
  const url = new URL(postgres.url);
  change(url);
  return url.href;
}

/** Gives up a write whose commit hangs, and checks that its session does not stay in Postgres. */
async function givesUp({ pool, database }: ReturnType<typeof open>): Promise<void> {
  await database.run(ampleWork(), slowRead, { seconds: 0 });
  await postgres.hang();
  const call = database.run({ deadline: Date.now() + 500 }, write, { value: 'a' });
  await expect(call).rejects.toMatchObject(unavailable);
  await vi.waitFor(async () => expect(await postgres.waiting()).toBe(0), { timeout: 5_000 });
  await vi.waitFor(() => expect(pool.totalCount).toBe(0), { timeout: 5_000 });
}

describe('a write that is given up while its commit waits for a standby leaves no session in Postgres', () => {
  it('over TCP', () => givesUp(open()));

  it('over a Unix socket', async () => {
    // Through a short link, because the path of a socket may have at most 103 bytes on macOS.
    const link = join(tmpdir(), `socket-${randomBytes(6).toString('hex')}`);
    await symlink(join(postgres.directory, 'cluster/data'), link);
    onTestFinished(() => rm(link));
    const socket = encodeURIComponent(link);
    const { port, username, password, pathname } = new URL(postgres.url);
    await givesUp(
      open({ urls: [`postgres://${username}:${password}@${socket}:${port}${pathname}?sslmode=disable`] }),
    );
  });

  it('over TLS, and the key of the connection is not sent in the clear', async () => {
    const authority = await createAuthority();
    const { cert, key } = await authority.issue({ names: ['localhost'], use: 'server' });
    const data = join(postgres.directory, 'cluster/data');
    const { uid, gid } = await stat(data);
    for (const [name, text] of Object.entries({ 'server.crt': cert, 'server.key': key })) {
      await writeFile(join(data, name), text, { mode: 0o600 });
      await chown(join(data, name), uid, gid);
    }
    const rootCert = join(postgres.directory, 'root.crt');
    await writeFile(rootCert, authority.cert);
    await postgres.admin.query('alter system set ssl = on');
    await postgres.admin.query('select pg_reload_conf()');
    const wire = await record(Number(new URL(postgres.url).port));
    const url = withUrl((url) => {
      url.host = `localhost:${wire.port}`;
      url.search = `?sslmode=verify-full&sslrootcert=${encodeURIComponent(rootCert)}`;
    });
    await givesUp(open({ urls: [url] }));
    expect(wire.connections()).toBe(2);
    expect(wire.sent().includes(CANCEL_CODE)).toBe(false);
  });

  it('at the server that the connection uses', async () => {
    const { port } = new URL(postgres.url);
    await using first = await startFaultProxy({ port: Number(port) });
    await using second = await startFaultProxy({ port: Number(port) });
    await first.set({ kind: 'refused' });
    const urls = [first, second].map((proxy) => withUrl((url) => (url.port = String(proxy.port))));
    const opened = open({ urls });
    await opened.database.run(ampleWork(), slowRead, { seconds: 0 });
    // The first server works again, but the statement runs on the second.
    await first.set({ kind: 'none' });
    await givesUp(opened);
    expect(first.connections).toBe(0);
  });

  test.skipIf(pgbouncer === undefined && !process.env.CI).each(['session', 'transaction'] as const)(
    'behind pgbouncer in %s mode',
    async (mode) => {
      const { url, stop } = await startPgbouncer(pgbouncer ?? '', postgres.url, mode);
      onTestFinished(stop);
      await givesUp(open({ urls: [url], pooler: mode }));
    },
  );
});

/** The number that marks a cancel request in Postgres's protocol. */
const CANCEL_CODE = Buffer.from([0x04, 0xd2, 0x16, 0x2e]);

/** Passes connections on to a port, and records what clients send. */
async function record(port: number) {
  const chunks: Buffer[] = [];
  let connections = 0;
  const server = createServer((client) => {
    connections++;
    const upstream = connect(port, '127.0.0.1');
    for (const socket of [client, upstream]) socket.on('error', () => undefined);
    client.on('data', (chunk) => void chunks.push(chunk)).pipe(upstream);
    upstream.pipe(client);
  }).listen(0, '127.0.0.1');
  await vi.waitUntil(() => server.listening);
  onTestFinished(() => void server.close());
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => connections,
    sent: () => Buffer.concat(chunks),
  };
}

it('no other statement runs on a connection whose statement was given up, so no cancel hits another statement', async () => {
  const { database } = open({ maxConnections: 1 });
  const pids = new Set<number>();
  for (let i = 0; i < 5; i++) {
    const [row] = await database.run(ampleWork(), slowPid, { seconds: 0 });
    pids.add(row?.pid ?? 0);
    const call = database.run({ deadline: Date.now() + 300 }, slowPid, { seconds: 20 });
    await expect(call).rejects.toMatchObject(unavailable);
  }
  // A cancel request names the pid of a Postgres session, and ends the statement that this session runs when the
  // request arrives. The pool has one connection. If a given-up statement left its connection in the pool, the next
  // statement would have the same pid.
  expect(pids.size).toBe(5);
});

it('a server that does not answer holds each connection for a second more, and gets no further ones', async () => {
  await using proxy = await startFaultProxy({ port: Number(new URL(postgres.url).port) });
  const { pool, database } = open({ urls: [withUrl((url) => (url.port = String(proxy.port)))] });
  await Promise.all(
    Array.from({ length: POOL_SIZE }, () => database.run(ampleWork(), slowRead, { seconds: 0.1 })),
  );
  await proxy.set({ kind: 'hanging' });
  let connectionsMax = 0;
  const calls = Array.from({ length: 10 }, () =>
    database.run({ deadline: Date.now() + 700 }, slowRead, { seconds: 0 }).catch(() => {
      connectionsMax = Math.max(connectionsMax, proxy.connections);
    }),
  );
  await Promise.all(calls);
  const endedMs = performance.now();
  expect(pool.totalCount, 'the callers do not wait for the cancels').toBe(POOL_SIZE);
  await vi.waitFor(() => expect(pool.totalCount).toBe(0), { timeout: 5_000 });
  expect(performance.now() - endedMs).toBeGreaterThan(500);
  // The proxy counts the connections of the pool, and one connection for the cancel of each of them.
  expect(connectionsMax).toBeLessThanOrEqual(2 * POOL_SIZE);
});

it('a commit whose wait an administrator has cancelled is no success, and its connection stays open', async () => {
  const { pool, database } = open({
    maxConnections: 1,
    urls: [withUrl((url) => url.searchParams.set('options', '-c client_min_messages=error'))],
  });
  const pid = async () => (await pool.query('select pg_backend_pid() as pid')).rows[0].pid;
  const before = await pid();
  await postgres.hang();
  const call = database.run(ampleWork(), write, { value: 'a' });
  const outcome = expect(call).rejects.toMatchObject({
    ...unavailable,
    cause: { name: 'NotReplicatedError' },
  });
  await vi.waitUntil(async () => (await postgres.waiting()) === 1, { timeout: 10_000 });
  await postgres.admin.query('select pg_cancel_backend($1)', [before]);
  await outcome;
  expect(await pid()).toBe(before);
  // Postgres has the row, and the service did not write it again.
  expect((await postgres.admin.query('select value from written')).rows).toEqual([{ value: 'a' }]);
  await postgres.recover();
  await database.run(ampleWork(), write, { value: 'b' });
});
