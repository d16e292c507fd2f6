import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { Code } from '@connectrpc/connect';
import { sql } from 'kysely';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { anyFreePort } from '../../src/dev/postgres/free-port.ts';
import { DeadlineExceededError } from '../../src/files/deadline.ts';
import { createBreaker, ignoringOpen, WAITED_LONG_MS } from '../../src/overload/circuit-breaker.ts';
import {
  createPool,
  type Database,
  createDatabase as databaseOn,
  type PoolOptions,
} from '../../src/postgres/connection/database.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { type Prepared, prepare } from '../../src/postgres/statements/prepared.ts';
import { find } from '../../src/postgres/statements/reads.ts';
import { purge } from '../../src/postgres/statements/sweeps.ts';
import { markLost } from '../../src/postgres/statements/transitions.ts';
import { toConnectError } from '../../src/rpc/errors.ts';
import { createDatabase, type TestDatabase } from '../harness/database.ts';
import { ample } from '../harness/deadline.ts';

const MAX_CONNECTIONS = 3;

/** As a write is: nobody runs it twice unless it surely did not happen. */
const sleep = prepare<{ seconds: number }>()('sleep', (db, param) =>
  db
    .with('slept', (qb) => qb.selectNoFrom(sql`pg_sleep(${param('seconds')})`.as('slept')))
    .selectFrom('slept')
    .selectAll(),
);
const backend = prepare<object>()('backend', (db) =>
  db.selectNoFrom([sql<number>`pg_backend_pid()`.as('pid')]),
);
const wrong = prepare<object>()('wrong', (db) => db.selectNoFrom(sql`from from`.as('nothing')));
const nobody = { userId: 'nobody', s3Key: 'none', verificationTtlSeconds: 0, longestUploadSeconds: 0 };
const unavailable = { name: 'FileError', reason: 'DATABASE_UNAVAILABLE', retryAfterMs: 1_000 };

/** A loopback port in front of Postgres, whose connections can be reset. */
async function breakableWire(databaseUrl: string) {
  const { hostname, port } = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  const listener = createServer((client) => {
    const postgres = connect(Number(port || 5432), hostname);
    sockets.add(client).add(postgres);
    for (const socket of [client, postgres]) socket.on('error', () => undefined);
    client.pipe(postgres).pipe(client);
  });
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  const url = new URL(databaseUrl);
  url.host = `127.0.0.1:${(listener.address() as AddressInfo).port}`;
  const reset = () => {
    for (const socket of sockets) socket.resetAndDestroy();
    sockets.clear();
  };
  return {
    url: url.href,
    break: reset,
    async [Symbol.asyncDispose]() {
      // Its connections end with the pool, which the test closes afterwards.
      listener.close();
    },
  };
}

let server: TestDatabase;
let admin: pg.Pool;
beforeAll(async () => {
  server = await createDatabase();
  admin = new pg.Pool({ connectionString: server.url, max: 2 });
  await migrate(admin);
});
afterAll(async () => {
  await admin.end();
  await server.drop();
});

const opened: pg.Pool[] = [];
afterEach(async () => {
  for (const pool of opened.splice(0)) {
    // A connection that is still being made when its caller gives up is kept for the next.
    await vi.waitFor(() =>
      expect({ busy: pool.totalCount - pool.idleCount, waiting: pool.waitingCount }).toEqual({
        busy: 0,
        waiting: 0,
      }),
    );
    await pool.end();
  }
  // Postgres does not notice by itself that nobody waits for an answer any more.
  await vi.waitFor(async () => expect((await killSleepers()).rows).toEqual([]));
});

function open(over: Partial<PoolOptions> = {}) {
  const idleErrors: Error[] = [];
  const options = {
    url: server.url,
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
  database.run(find, nobody, ample()).then((rows) => expect(rows).toEqual([]));

const pidOf = async (database: Database) => (await database.run(backend, {}, ample()))[0]?.pid;

function withUrl(change: (url: URL) => void): string {
  const url = new URL(server.url);
  change(url);
  return url.href;
}

/** Whether that many sessions of the service run this now. */
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

describe('a database that does not answer is DATABASE_UNAVAILABLE, with when to retry', () => {
  it('when it ends the connection during a statement; and the next has another', async () => {
    const { database, pool } = open();
    const calls = [1, 2, 3, 4].map(() => database.run(sleep, { seconds: 20 }, ample()));
    const outcomes = Promise.allSettled(calls);
    // As many as there are connections; the fourth call waits for one.
    await vi.waitFor(async () => expect(await running('pg_sleep')).toBe(MAX_CONNECTIONS));
    // Each is tried once more, and that is ended too.
    let over = false;
    void outcomes.then(() => {
      over = true;
    });
    await vi.waitFor(async () => {
      await killSleepers();
      expect(over).toBe(true);
    });
    expect((await outcomes).map((one) => one.status === 'rejected' && one.reason)).toEqual(
      [1, 2, 3, 4].map(() => expect.objectContaining(unavailable)),
    );
    await Promise.all([1, 2, 3, 4, 5].map(() => works(database)));
    expect(pool.totalCount).toBeLessThanOrEqual(MAX_CONNECTIONS);
  });

  it('when the connection breaks during a statement, without a word', async () => {
    await using wire = await breakableWire(server.url);
    const { database } = open({ url: wire.url });
    const call = database.run(sleep, { seconds: 20 }, ample());
    const outcome = expect(call).rejects.toMatchObject({ ...unavailable, cause: { code: 'ECONNRESET' } });
    await vi.waitFor(async () => expect(await running('pg_sleep')).toBe(1));
    wire.break();
    await outcome;
    await works(database);
  });

  it('not even that, when an idle connection ended: it is told, and replaced', async () => {
    const { database, idleErrors } = open();
    const pid = await pidOf(database);
    await admin.query('select pg_terminate_backend($1)', [pid]);
    await vi.waitFor(() => expect(idleErrors).toHaveLength(1));
    expect(await pidOf(database)).not.toBe(pid);
  });

  it('when nobody listens', async () => {
    const port = await anyFreePort();
    const { database } = open({ url: withUrl((url) => (url.port = String(port))) });
    await expect(database.run(find, nobody, ample())).rejects.toMatchObject({
      ...unavailable,
      cause: { code: 'ECONNREFUSED' },
    });
  });

  it.each<[string, string, (url: URL) => unknown]>([
    ['has no such database', '3D000', (url) => (url.pathname = '/none')],
    ['does not take the password', '28P01', (url) => (url.password = 'wrong')],
  ])('when it %s', async (_, code, change) => {
    const { database } = open({ url: withUrl(change) });
    await expect(database.run(find, nobody, ample())).rejects.toMatchObject({
      ...unavailable,
      cause: { code },
    });
  });

  it('when a statement takes longer than it may, which Postgres ends', async () => {
    const { database } = open({ statementTimeoutMs: 200 });
    const failure = database.run(sleep, { seconds: 20 }, ample());
    await expect(failure).rejects.toMatchObject({ ...unavailable, cause: { code: '57014' } });
    await vi.waitFor(async () => expect(await running('pg_sleep')).toBe(0));
    await works(database);
  });

  it('when Postgres does not end it, as behind a pooler: then the client does, and drops the connection', async () => {
    const { database, pool } = open({ statementTimeoutMs: 200, pooler: 'transaction' });
    await expect(database.run(sleep, { seconds: 20 }, ample())).rejects.toMatchObject({
      ...unavailable,
      cause: { message: 'no answer before the deadline' },
    });
    // The answer may still come, and must not be taken for that of another.
    expect(pool.totalCount).toBe(0);
    await works(database);
  });

  it('when all connections of this instance are taken for too long', async () => {
    const { database } = open({ maxConnections: 1, connectTimeoutMs: 1_000 });
    const busy = database.run(sleep, { seconds: 2 }, ample());
    await expect(database.run(find, nobody, ample())).rejects.toMatchObject(unavailable);
    await busy;
    await works(database);
  });

  it('when all are taken until the deadline, which is sooner; the one that then comes free is not lost', async () => {
    const { database, pool } = open({ maxConnections: 1 });
    const busy = database.run(sleep, { seconds: 0.5 }, ample());
    const startMs = performance.now();
    await expect(database.run(find, nobody, Date.now() + 100)).rejects.toMatchObject(unavailable);
    expect(performance.now() - startMs).toBeLessThan(400);
    await busy;
    await works(database);
    expect(pool.totalCount).toBe(1);
  });

  it('when no answer has come by the deadline; Postgres then stops working at it', async () => {
    const { database } = open();
    const startMs = performance.now();
    await expect(database.run(sleep, { seconds: 20 }, Date.now() + 200)).rejects.toMatchObject({
      ...unavailable,
      cause: { message: 'no answer before the deadline' },
    });
    expect(performance.now() - startMs).toBeLessThan(1_000);
    // Twice as often as it looks, so that a busy machine has time.
    await vi.waitFor(async () => expect(await running('pg_sleep')).toBe(0), { timeout: 2_000 });
    await works(database);
  });

  it('when the server has no connection left', async () => {
    const role = `limited_${process.pid}`;
    await admin.query(`create role ${role} login password 'secret' connection limit 1`);
    const url = withUrl((url) => {
      url.username = role;
      url.password = 'secret';
    });
    const { database } = open({ url });
    const first = new pg.Client({ connectionString: url });
    await first.connect();
    await expect(database.run(backend, {}, ample())).rejects.toMatchObject({
      ...unavailable,
      cause: { code: '53300' },
    });
    await first.end();
    await vi.waitFor(() => database.run(backend, {}, ample()));
    await opened.pop()?.end();
    await admin.query(`drop role ${role}`);
  });

  it('when it is read-only, as a replica is after a failover; reads go on, and writes when it is over', async () => {
    const name = new URL(server.url).pathname.slice(1);
    await admin.query(`alter database ${name} set default_transaction_read_only = on`);
    const { database } = open();
    await expect(database.run(purge, nobody, ample())).rejects.toMatchObject({
      ...unavailable,
      cause: { code: '25006' },
    });
    await works(database);
    await admin.query(`alter database ${name} reset default_transaction_read_only`);
    // Each refusal cost its connection: the next leads to a server that takes writes.
    await vi.waitFor(async () => expect(await database.run(purge, nobody, ample())).toEqual([]));
  });
});

it('asks nothing when the deadline has passed, and needs no connection for that', async () => {
  const { database, pool } = open();
  await expect(database.run(find, nobody, Date.now())).rejects.toBeInstanceOf(DeadlineExceededError);
  expect(pool.totalCount).toBe(0);
});

describe('tries once more, and its caller does not notice', () => {
  const reserveNothing = prepare<object>()('write', (db) =>
    db
      .with('x', (qb) => qb.deleteFrom('files').returning('s3_key'))
      .selectFrom('x')
      .selectAll(),
  );

  it.each([
    ['read', find],
    ['write', reserveNothing],
  ])('when Postgres ends the connections of a %s', async (kind, statement) => {
    const { database } = open();
    let ended = 0;
    for (let i = 0; i < 10; i++) {
      const calls = Array.from({ length: MAX_CONNECTIONS }, () =>
        database.run(statement as typeof find, nobody, ample()),
      );
      const { rowCount } = await admin.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'file-service'`,
      );
      ended += rowCount ?? 0;
      for (const outcome of await Promise.allSettled(calls)) {
        // A statement that comes when the backend has gone is answered with a reset, or by the end that was
        // on its way already; then a write may have happened.
        const { code, message } = (outcome.status === 'rejected' && outcome.reason?.cause) || {};
        const unheard = code === 'ECONNRESET' || message === 'Connection terminated unexpectedly';
        if (kind === 'read' || !unheard) expect(outcome).toEqual({ status: 'fulfilled', value: [] });
      }
    }
    expect(ended).toBeGreaterThan(MAX_CONNECTIONS);
  });

  const broken = async (statement: Prepared<{ seconds: number }, unknown>) => {
    await using wire = await breakableWire(server.url);
    const { database } = open({ url: wire.url });
    await works(database);
    const call = database.run(statement, { seconds: 0.2 }, ample()).catch((error: unknown) => error);
    await vi.waitFor(async () => expect(await running('pg_sleep')).toBe(1), { interval: 5 });
    wire.break();
    return await call;
  };
  const slowRead = prepare<{ seconds: number }>()('slow_read', (db, param) =>
    db.selectNoFrom(sql`pg_sleep(${param('seconds')})`.as('slept')),
  );

  it('a read whose connection breaks without a word', async () => {
    expect(await broken(slowRead)).toHaveLength(1);
  });

  it('but no write: it may have happened', async () => {
    expect(await broken(sleep)).toMatchObject(unavailable);
  });

  it('when a migration has changed what every connection has prepared', async () => {
    await admin.query('create table changing (value int); insert into changing values (1)');
    const read = prepare<object>()<{ value: number | string }>('changing', (db) =>
      db.selectNoFrom(sql<number>`(select value from changing)`.as('value')),
    );
    const { database, pool } = open();
    const onAll = () =>
      Promise.all(Array.from({ length: MAX_CONNECTIONS }, () => database.run(read, {}, ample())));
    await onAll();
    expect(pool.totalCount).toBe(MAX_CONNECTIONS);
    await admin.query('alter table changing alter value type text');
    // Alone: its second try meets a connection that has prepared the same.
    expect(await database.run(read, {}, ample())).toEqual([{ value: '1' }]);
    for (let i = 0; i < 3; i++) expect((await onAll()).map(([row]) => row?.value)).toEqual(['1', '1', '1']);
    await admin.query('drop table changing');
  });

  it('when a pooler that nobody spoke of has thrown the statement away', async () => {
    const { database, pool } = open({ maxConnections: 1 });
    await works(database);
    await pool.query('deallocate all');
    await works(database);
  });
});

describe('once Postgres has not answered a few times', () => {
  it('nobody waits for it any more, until it has answered those who look', async () => {
    const breaker = createBreaker();
    const { pool } = open();
    const database = databaseOn(pool, (_, run) => run(), { breaker });
    const look = databaseOn(open({ maxConnections: 1 }).pool, (_, run) => run(), {
      breaker: ignoringOpen(breaker),
    });
    const silent = () => database.run(sleep, { seconds: 20 }, Date.now() + 2 * WAITED_LONG_MS);
    await Promise.allSettled([1, 2, 3].map(silent));
    const startMs = performance.now();
    await expect(database.run(find, nobody, ample())).rejects.toMatchObject(unavailable);
    expect(performance.now() - startMs).toBeLessThan(50);
    await works(look);
    await works(database);
  });

  it.each<[string, (database: Database) => Promise<unknown>]>([
    ['refuses to write', (database) => database.run(wrong, {}, ample())],
    [
      'is asked by callers without patience',
      (database) => database.run(sleep, { seconds: 1 }, Date.now() + 30),
    ],
  ])('but not when it %s', async (_, call) => {
    const breaker = createBreaker();
    const database = databaseOn(open().pool, (_, run) => run(), { breaker });
    for (let i = 0; i < 10; i++) await expect(call(database)).rejects.toThrow();
    expect(breaker.open).toBe(false);
    await works(database);
  });
});

describe('where no connection is free', () => {
  const work = prepare<{ userId: string; seconds: number }>()('work', (db, param) =>
    db.selectNoFrom(sql`pg_sleep(${param('seconds')})`.as('slept')),
  );

  it('users take turns: one with a hundred statements is not felt by another', async () => {
    const { database } = open();
    const order: string[] = [];
    const run = (userId: string) =>
      database.run(work, { userId, seconds: 0.02 }, ample()).then(() => order.push(userId));
    const crowd = Array.from({ length: 100 }, () => run('greedy'));
    await Promise.all([...crowd, run('modest')]);
    // After those that ran when it came, and one turn of the other's for each connection.
    expect(order.indexOf('modest')).toBeLessThanOrEqual(2 * MAX_CONNECTIONS);
    expect(database.waiting).toBe(0);
  });

  it('what gets its turn late has a third of its time left, else it asks nothing', async () => {
    const { database } = open({ maxConnections: 1 });
    const busy = database.run(sleep, { seconds: 1 }, ample());
    const startMs = performance.now();
    await expect(database.run(find, nobody, Date.now() + 600)).rejects.toMatchObject(unavailable);
    expect(performance.now() - startMs).toBeLessThan(550);
    await busy;
  });
});

describe('what Postgres answers', () => {
  const duplicate = prepare<object>()('duplicate', (db) =>
    db
      .insertInto('files')
      .columns([
        'user_id',
        's3_key',
        'state',
        'filename',
        'mime_type',
        'fingerprint',
        'url_expire_at',
        'due_at',
      ])
      .expression(
        sql`select 'a', 'a', 'pending', 'a', 'a', ''::bytea, now(), now() from generate_series(1, 2)`,
      ),
  );
  const missing = prepare<object>()('missing', (db) =>
    db.selectNoFrom(sql`(select from no_such_table)`.as('x')),
  );

  it.each<[string, Prepared<object, unknown>, string]>([
    ['a wrong statement', wrong, '42601'],
    ['a missing table', missing, '42P01'],
    ['a row that is there already', duplicate, '23505'],
  ])('%s is a fault of ours and no reason to retry; its connection stays', async (_, statement, code) => {
    const { database, pool } = open();
    const pid = await pidOf(database);
    const fault = await database.run(statement, {}, ample()).catch((error: unknown) => error);
    expect(fault).toBeInstanceOf(pg.DatabaseError);
    expect(fault).toMatchObject({ code });
    expect(toConnectError(fault)).toMatchObject({ code: Code.Internal, rawMessage: 'internal error' });
    expect(await pidOf(database)).toBe(pid);
    expect(pool.totalCount).toBe(1);
  });

  it('a parameter that cannot be sent is a fault of ours, too', async () => {
    const { database } = open();
    const noTime = { ...nobody, verifiedAt: new Date(Number.NaN) };
    await expect(database.run(markLost, noTime, ample())).rejects.toBeInstanceOf(RangeError);
  });
});

describe('statements', () => {
  const kept = async (pool: pg.Pool) =>
    (await pool.query('select name from pg_prepared_statements order by name')).rows.map(({ name }) => name);

  it('are named, so that a connection prepares each once', async () => {
    const { database, pool } = open({ maxConnections: 1 });
    for (let i = 0; i < 3; i++) await works(database);
    expect(await kept(pool)).toEqual(['find']);
  });

  it('are not, behind a pooler, where the next use has another connection', async () => {
    const { database, pool } = open({ maxConnections: 1, pooler: 'transaction' });
    for (let i = 0; i < 3; i++) await works(database);
    expect(await kept(pool)).toEqual([]);
  });
});
