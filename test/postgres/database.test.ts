import { Code } from '@connectrpc/connect';
import { sql } from 'kysely';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { anyFreePort } from '../../src/dev/postgres/free-port.ts';
import { DeadlineExceededError } from '../../src/files/deadline.ts';
import { createBreakers, ignoringOpen, WAITED_LONG_MS } from '../../src/overload/circuit-breaker.ts';
import { type Database, createDatabase as databaseOn } from '../../src/postgres/connection/database.ts';
import { createPool, type PoolOptions } from '../../src/postgres/connection/pool.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { type Prepared, prepare } from '../../src/postgres/statements/prepared.ts';
import { find } from '../../src/postgres/statements/reads.ts';
import { purge } from '../../src/postgres/statements/sweeps.ts';
import { markLost } from '../../src/postgres/statements/transitions.ts';
import { toConnectError } from '../../src/rpc/errors.ts';
import { createDatabase, openPool } from '../harness/database.ts';
import { ampleCall, ampleWork } from '../harness/deadline.ts';
import { startFaultProxy } from '../harness/fault-proxy.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { waitFor } from '../harness/wait-for.ts';

const MAX_CONNECTIONS = 3;

/** This statement counts as a write because of its `with`. A write is repeated only if Postgres did not run it. */
const sleep = prepare<{ seconds: number }>(
  'sleep',
  ({ seconds }) => sql`with slept as (select pg_sleep(${seconds})) select * from slept`,
);
const slowRead = prepare<{ seconds: number }>('slow_read', ({ seconds }) => sql`select pg_sleep(${seconds})`);
const backend = prepare<object, { pid: number }>('backend', () => sql`select pg_backend_pid() as pid`);
const wrong = prepare<object>('wrong', () => sql`select from from`);
const unknown = { userId: 'unknown', s3Key: 'none', verificationTtlSeconds: 0, longestUploadSeconds: 0 };
const unavailable = { name: 'FileError', reason: 'DATABASE_UNAVAILABLE', retryAfterMs: 1_000 };

const server = forAllTests(createDatabase);
let admin: pg.Pool;
beforeAll(async () => {
  admin = openPool(server.url, 2);
  await migrate(admin);
});
afterAll(() => admin.end());

const opened: pg.Pool[] = [];
afterEach(async () => {
  for (const pool of opened.splice(0)) {
    // If the caller gives up while a connection is being opened, the pool keeps the connection for the next
    // caller.
    await waitFor(() =>
      expect({ busy: pool.totalCount - pool.idleCount, waiting: pool.waitingCount }).toEqual({
        busy: 0,
        waiting: 0,
      }),
    );
    await pool.end();
  }
  // Postgres runs a statement on after its client has gone, unless client_connection_check_interval is set.
  await waitFor(async () => expect((await killSleepers()).rows).toEqual([]));
});

function open(over: Partial<PoolOptions> = {}) {
  const idleErrors: Error[] = [];
  const options = {
    urls: [server.url],
    maxConnections: MAX_CONNECTIONS,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 5_000,
    onIdleError: (error: Error) => idleErrors.push(error),
    ...over,
  };
  const pool = createPool(options);
  opened.push(pool);
  return { pool, database: databaseOn(pool, (_, run) => run(), options), idleErrors };
}

const works = (database: Database) =>
  database.run(ampleWork(), find, unknown).then((rows) => expect(rows).toEqual([]));

const pidOf = async (database: Database) => (await database.run(ampleWork(), backend, {}))[0]?.pid;

function withUrl(change: (url: URL) => void): string {
  const url = new URL(server.url);
  change(url);
  return url.href;
}

/** Opens a database behind a proxy that can reset its connections. */
async function openBehindProxy() {
  const proxy = await startFaultProxy({ port: Number(new URL(server.url).port) });
  const { database } = open({ urls: [withUrl((url) => (url.port = String(proxy.port)))] });
  return {
    proxy,
    database,
    async reset() {
      await proxy.set({ kind: 'refused' });
      await proxy.set({ kind: 'none' });
    },
    [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose](),
  };
}

/** The number of the service's sessions that run a statement with this text now. */
const running = async (text: string) => {
  const { rowCount } = await admin.query(
    `select from pg_stat_activity where datname = current_database() and application_name = 'file-service' and state = 'active' and query like $1`,
    [`%${text}%`],
  );
  return rowCount ?? 0;
};

const killSleepers = () =>
  admin.query(
    `select pid, pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'file-service' and query like '%pg_sleep%'`,
  );

describe('a call fails with DATABASE_UNAVAILABLE and a retry delay', () => {
  it('when Postgres ends the connection during a statement, and the next call gets a new connection', async () => {
    const { database, pool } = open();
    const calls = [1, 2, 3, 4].map(() => database.run(ampleWork(), slowRead, { seconds: 20 }));
    const outcomes = Promise.allSettled(calls);
    // All connections are busy, and the fourth call waits for one.
    await waitFor(async () => expect(await running('pg_sleep')).toBe(MAX_CONNECTIONS));
    // The service retries each statement once, and the retries are ended too.
    let over = false;
    void outcomes.then(() => {
      over = true;
    });
    await waitFor(async () => {
      await killSleepers();
      expect(over).toBe(true);
    });
    expect((await outcomes).map((one) => one.status === 'rejected' && one.reason)).toEqual(
      [1, 2, 3, 4].map(() => expect.objectContaining(unavailable)),
    );
    await Promise.all([1, 2, 3, 4, 5].map(() => works(database)));
    expect(pool.totalCount).toBeLessThanOrEqual(MAX_CONNECTIONS);
  });

  it('when the connection is reset during a statement', async () => {
    await using proxied = await openBehindProxy();
    const { database } = proxied;
    const call = database.run(ampleWork(), sleep, { seconds: 20 });
    const outcome = expect(call).rejects.toMatchObject({ ...unavailable, cause: { code: 'ECONNRESET' } });
    await waitFor(async () => expect(await running('pg_sleep')).toBe(1));
    await proxied.reset();
    await outcome;
    await works(database);
  });

  it('but not when an idle connection ended: the pool reports and replaces the connection', async () => {
    const { database, idleErrors } = open();
    const pid = await pidOf(database);
    await admin.query('select pg_terminate_backend($1)', [pid]);
    await waitFor(() => expect(idleErrors).toHaveLength(1));
    expect(await pidOf(database)).not.toBe(pid);
  });

  it('when no server listens on the port', async () => {
    const port = await anyFreePort();
    const { database } = open({ urls: [withUrl((url) => (url.port = String(port)))] });
    await expect(database.run(ampleWork(), find, unknown)).rejects.toMatchObject({
      ...unavailable,
      cause: { code: 'ECONNREFUSED' },
    });
  });

  it.each<[string, string, (url: URL) => unknown]>([
    ['does not have the database', '3D000', (url) => (url.pathname = '/none')],
    ['refuses the password', '28P01', (url) => (url.password = 'wrong')],
  ])('when Postgres %s', async (_, code, change) => {
    const { database } = open({ urls: [withUrl(change)] });
    await expect(database.run(ampleWork(), find, unknown)).rejects.toMatchObject({
      ...unavailable,
      cause: { code },
    });
  });

  it('when Postgres cancels a statement at statement_timeout', async () => {
    const { database } = open({ statementTimeoutMs: 200 });
    const failure = database.run(ampleWork(), sleep, { seconds: 20 });
    await expect(failure).rejects.toMatchObject({ ...unavailable, cause: { code: '57014' } });
    await waitFor(async () => expect(await running('pg_sleep')).toBe(0));
    await works(database);
  });

  it('when Postgres does not cancel a slow statement, as behind a pooler, and the client drops the connection', async () => {
    const { database, pool } = open({ statementTimeoutMs: 200, pooler: 'transaction' });
    await expect(database.run(ampleWork(), sleep, { seconds: 20 })).rejects.toMatchObject({
      ...unavailable,
      cause: { message: 'no answer before the deadline' },
    });
    // The response may still arrive, and the next statement must not take it for its own.
    await waitFor(() => expect(pool.totalCount).toBe(0));
    await works(database);
  });

  it('when all connections of this instance are busy for longer than connectTimeoutMs', async () => {
    const { database } = open({ maxConnections: 1, connectTimeoutMs: 1_000 });
    const busy = database.run(ampleWork(), sleep, { seconds: 2 });
    await expect(database.run(ampleWork(), find, unknown)).rejects.toMatchObject(unavailable);
    await busy;
    await works(database);
  });

  it('when all connections are busy until the deadline, and a connection that comes free later is not lost', async () => {
    const { database, pool } = open({ maxConnections: 1 });
    let isBusy = true;
    const busy = database.run(ampleWork(), sleep, { seconds: 2 }).finally(() => {
      isBusy = false;
    });
    await expect(database.run({ deadline: Date.now() + 100 }, find, unknown)).rejects.toMatchObject(
      unavailable,
    );
    expect(isBusy).toBe(true);
    await busy;
    await works(database);
    expect(pool.totalCount).toBe(1);
  });

  it('when no response has come by the deadline, and Postgres cancels the statement', async () => {
    const { database } = open({ statementTimeoutMs: 20_000 });
    const startMs = performance.now();
    await expect(database.run({ deadline: Date.now() + 200 }, sleep, { seconds: 20 })).rejects.toMatchObject({
      ...unavailable,
      cause: { message: 'no answer before the deadline' },
    });
    await waitFor(async () => expect(await running('pg_sleep')).toBe(0));
    // Long before the statement itself would end.
    expect(performance.now() - startMs).toBeLessThan(15_000);
    await works(database);
  });

  it('when the server accepts no more connections', async () => {
    const role = `limited_${process.pid}`;
    await admin.query(`create role ${role} login password 'secret' connection limit 1`);
    const url = withUrl((url) => {
      url.username = role;
      url.password = 'secret';
    });
    const { database } = open({ urls: [url] });
    const first = new pg.Client({ connectionString: url });
    await first.connect();
    await expect(database.run(ampleWork(), backend, {})).rejects.toMatchObject({
      ...unavailable,
      cause: { code: '53300' },
    });
    await first.end();
    await waitFor(() => database.run(ampleWork(), backend, {}));
    await opened.pop()?.end();
    await admin.query(`drop role ${role}`);
  });

  it('for writes while the server is read-only, as after a failover, and reads go on', async () => {
    const name = new URL(server.url).pathname.slice(1);
    await admin.query(`alter database ${name} set default_transaction_read_only = on`);
    const { database } = open();
    await expect(database.run(ampleWork(), purge.silent, unknown)).rejects.toMatchObject({
      ...unavailable,
      cause: { code: '25006' },
    });
    await works(database);
    await admin.query(`alter database ${name} reset default_transaction_read_only`);
    // The service closed each connection that refused a write, so a new connection reaches a server that
    // accepts writes.
    await waitFor(async () => expect(await database.run(ampleWork(), purge.silent, unknown)).toEqual([]));
  });
});

it('sends nothing and opens no connection when the deadline has passed', async () => {
  const { database, pool } = open();
  await expect(database.run({ deadline: Date.now() }, find, unknown)).rejects.toBeInstanceOf(
    DeadlineExceededError,
  );
  expect(pool.totalCount).toBe(0);
});

describe('retries once without an error for the caller', () => {
  const reserveNothing = prepare<object>(
    'write',
    () => sql`with x as (delete from files returning s3_key) select * from x`,
  );

  it.each([
    ['read', find],
    ['write', reserveNothing],
  ])('when Postgres ends the connections of a %s', async (kind, statement) => {
    const { database } = open();
    let ended = 0;
    for (let i = 0; i < 10; i++) {
      const calls = Array.from({ length: MAX_CONNECTIONS }, () =>
        database.run(ampleWork(), statement as typeof find, unknown),
      );
      const { rowCount } = await admin.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'file-service'`,
      );
      ended += rowCount ?? 0;
      for (const outcome of await Promise.allSettled(calls)) {
        // If the backend is already gone when the statement arrives, the client gets a reset or the end of
        // the connection and no error of Postgres. A write may then have happened, so the service does not
        // retry it.
        const { code, message } = (outcome.status === 'rejected' && outcome.reason?.cause) || {};
        const noResponse = code === 'ECONNRESET' || message === 'Connection terminated unexpectedly';
        if (kind === 'read' || !noResponse) expect(outcome).toEqual({ status: 'fulfilled', value: [] });
      }
    }
    expect(ended).toBeGreaterThan(MAX_CONNECTIONS);
  });

  const broken = async (statement: Prepared<{ seconds: number }, unknown>) => {
    await using proxied = await openBehindProxy();
    const { database } = proxied;
    await works(database);
    // Long enough to be seen on a busy machine.
    const call = database.run(ampleWork(), statement, { seconds: 1 }).catch((error: unknown) => error);
    await waitFor(async () => expect(await running('pg_sleep')).toBe(1), 5);
    await proxied.reset();
    return await call;
  };
  it('a read whose connection is reset', async () => {
    expect(await broken(slowRead)).toHaveLength(1);
  });

  it('but not a write whose connection is reset, because the write may have happened', async () => {
    expect(await broken(sleep)).toMatchObject(unavailable);
  });

  it('a write whose new connection is reset before the statement was sent', async () => {
    await using proxied = await openBehindProxy();
    const { proxy, database } = proxied;
    // Opening a connection takes several round trips.
    await proxy.set({ kind: 'slow', milliseconds: 200 });
    const call = database.run(ampleWork(), sleep, { seconds: 0 });
    await waitFor(() => expect(proxy.connections).toBe(1), 5);
    await proxied.reset();
    expect(await call).toHaveLength(1);
  });

  it('when a migration has invalidated the statement that every connection has prepared', async () => {
    await admin.query('create table changing (value int); insert into changing values (1)');
    const read = prepare<object, { value: number | string }>(
      'changing',
      () => sql`select value from changing`,
    );
    const { database, pool } = open();
    const onAll = () =>
      Promise.all(Array.from({ length: MAX_CONNECTIONS }, () => database.run(ampleWork(), read, {})));
    await onAll();
    expect(pool.totalCount).toBe(MAX_CONNECTIONS);
    await admin.query('alter table changing alter value type text');
    // A single call: its retry runs on a connection that has prepared the same invalid statement.
    expect(await database.run(ampleWork(), read, {})).toEqual([{ value: '1' }]);
    for (let i = 0; i < 3; i++) expect((await onAll()).map(([row]) => row?.value)).toEqual(['1', '1', '1']);
    await admin.query('drop table changing');
  });

  it('when a pooler that is not configured has discarded the prepared statement', async () => {
    const { database, pool } = open({ maxConnections: 1 });
    await works(database);
    await pool.query('deallocate all');
    await works(database);
  });
});

describe('after three calls without a response from Postgres', () => {
  it('calls fail at once until Postgres has answered a health check', async () => {
    const breakers = createBreakers();
    const { pool } = open();
    let sent = 0;
    const database = databaseOn(pool, (_, run) => run(), { breakers });
    pool.on('acquire', () => sent++);
    const healthCheck = databaseOn(open({ maxConnections: 1 }).pool, (_, run) => run(), {
      breakers: ignoringOpen(breakers),
    });
    const timeOut = () =>
      database.run({ deadline: Date.now() + 2 * WAITED_LONG_MS }, slowRead, { seconds: 20 });
    await Promise.allSettled([1, 2, 3].map(timeOut));
    expect(sent).toBe(3);
    await expect(database.run(ampleWork(), find, unknown)).rejects.toMatchObject(unavailable);
    expect(sent).toBe(3);
    await works(healthCheck);
    await works(database);
  });

  it.each<[string, (database: Database) => Promise<unknown>]>([
    ['answers with an error', (database) => database.run(ampleWork(), wrong, {})],
    [
      'does not answer within very short deadlines',
      (database) => database.run({ deadline: Date.now() + 30 }, slowRead, { seconds: 1 }),
    ],
  ])('the breaker stays closed when Postgres %s', async (_, call) => {
    const breakers = createBreakers();
    const database = databaseOn(open().pool, (_, run) => run(), { breakers });
    for (let i = 0; i < 10; i++) await expect(call(database)).rejects.toThrow();
    expect(breakers.reads.open).toBe(false);
    await works(database);
  });
});

describe('while no connection is free', () => {
  const work = prepare<{ seconds: number }>('work', ({ seconds }) => sql`select pg_sleep(${seconds})`);

  it('a user with a hundred waiting statements does not delay another user', async () => {
    const { database } = open();
    const order: string[] = [];
    const run = (userId: string) =>
      database.run(ampleCall(userId), work, { seconds: 0.02 }).then(() => order.push(userId));
    const crowd = Array.from({ length: 100 }, () => run('greedy'));
    await Promise.all([...crowd, run('modest')]);
    // Before the modest user's statement, only these may end: the statements that were running already, and one more of
    // the greedy user for each connection.
    expect(order.indexOf('modest')).toBeLessThanOrEqual(2 * MAX_CONNECTIONS);
    expect(database.waiting).toBe(0);
  });

  it('a statement fails unsent after waiting for two thirds of its time', async () => {
    const { database } = open({ maxConnections: 1 });
    const busy = database.run(ampleWork(), sleep, { seconds: 3 });
    const deadline = Date.now() + 2_400;
    await expect(database.run({ deadline }, find, unknown)).rejects.toMatchObject(unavailable);
    // 800 ms are left, and some of them for a busy machine.
    expect(deadline - Date.now()).toBeGreaterThan(100);
    await busy;
  });
});

describe('an error of Postgres', () => {
  const duplicate = prepare<object>(
    'duplicate',
    () => sql`
      insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, url_expire_at, due_at)
      select 'a', 'a', 'pending', 'a', 'a', ''::bytea, now(), now() from generate_series(1, 2)`,
  );
  const missing = prepare<object>('missing', () => sql`select from no_such_table`);

  it.each<[string, Prepared<object, unknown>, string]>([
    ['for a wrong statement', wrong, '42601'],
    ['for a missing table', missing, '42P01'],
    ['for a row that exists already', duplicate, '23505'],
  ])('%s is an internal error without a retry, and the connection stays open', async (_, statement, code) => {
    const { database, pool } = open();
    const pid = await pidOf(database);
    const error = await database.run(ampleWork(), statement, {}).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(pg.DatabaseError);
    expect(error).toMatchObject({ code });
    expect(toConnectError(error)).toMatchObject({ code: Code.Internal, rawMessage: 'internal error' });
    expect(await pidOf(database)).toBe(pid);
    expect(pool.totalCount).toBe(1);
  });

  it('for a parameter that cannot be encoded is a RangeError', async () => {
    const { database } = open();
    const noTime = { ...unknown, verifiedAt: new Date(Number.NaN) };
    await expect(database.run(ampleWork(), markLost.silent, noTime)).rejects.toBeInstanceOf(RangeError);
  });
});

describe('statements', () => {
  const kept = async (pool: pg.Pool) =>
    (await pool.query('select name from pg_prepared_statements order by name')).rows.map(({ name }) => name);

  it('are named, so that each connection prepares a statement once', async () => {
    const { database, pool } = open({ maxConnections: 1 });
    for (let i = 0; i < 3; i++) await works(database);
    expect(await kept(pool)).toEqual(['find']);
  });

  it('are not named behind a pooler, because the next call may get another connection', async () => {
    const { database, pool } = open({ maxConnections: 1, pooler: 'transaction' });
    for (let i = 0; i < 3; i++) await works(database);
    expect(await kept(pool)).toEqual([]);
  });
});
