import type pg from 'pg';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fingerprintOf } from '../../src/files/rules/fingerprint.ts';
import { parseMd5 } from '../../src/files/rules/md5.ts';
import type { S3Key } from '../../src/files/rules/s3-key.ts';
import { type Breakers, createBreakers } from '../../src/overload/circuit-breaker.ts';
import { createDatabase as databaseOn } from '../../src/postgres/connection/database.ts';
import { createPool } from '../../src/postgres/connection/pool.ts';
import { createFileStore } from '../../src/postgres/file-store.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { find } from '../../src/postgres/statements/reads.ts';
import { purge } from '../../src/postgres/statements/sweeps.ts';
import { ampleCall, ampleWork } from '../harness/deadline.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { md5, newUser } from '../harness/random.ts';
import { STORE_LIMITS } from '../harness/store-limits.ts';
import { startSynchronousPostgres } from '../harness/synchronous-postgres.ts';

const POOL_SIZE = 5;
const LOCK_TIMEOUT_MS = 50;
/** Longer than the time-outs that the breakers ignore: LOCK_TIMEOUT_MS, and 500 ms for its error. */
const HANGS_MS = 800;

const unavailable = { name: 'FileError', reason: 'DATABASE_UNAVAILABLE', retryAfterMs: 1_000 };
const NONE = { userId: 'none', s3Key: 'none', verificationTtlSeconds: 0, longestUploadSeconds: 0 };

const postgres = forAllTests(() => startSynchronousPostgres());
beforeAll(() => migrate(postgres.admin));

let pool: pg.Pool;
let breakers: Breakers;
let database: ReturnType<typeof databaseOn>;
let store: ReturnType<typeof createFileStore>;
beforeEach(() => {
  const options = {
    urls: [postgres.url],
    maxConnections: POOL_SIZE,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 5_000,
    lockTimeoutMs: LOCK_TIMEOUT_MS,
    onIdleError: () => undefined,
  };
  pool = createPool(options);
  breakers = createBreakers();
  database = databaseOn(pool, (_, run) => run(), { ...options, breakers });
  store = createFileStore(database, STORE_LIMITS);
});
afterEach(async () => {
  await postgres.recover();
  await pool.end();
});

const hanging = (userId = newUser(), milliseconds = HANGS_MS) => ({
  userId,
  deadline: Date.now() + milliseconds,
});

const intentOf = (name: string) => ({
  s3Key: name as S3Key,
  filename: name,
  mimeType: 'text/plain',
  size: 3,
  fingerprint: fingerprintOf(parseMd5(md5(name))),
});

const create = (call = hanging()) => store.reserve(call, intentOf('a.txt'));

const failToCreate = async (times: number) => {
  for (let i = 0; i < times; i++) await expect(create()).rejects.toMatchObject(unavailable);
};

async function createReady(userId: string): Promise<void> {
  await store.reserve(ampleCall(userId), intentOf('ready.txt'));
  const { s3Key } = intentOf('ready.txt');
  await store.markReady(ampleCall(userId), s3Key, {
    size: 3,
    etag: 'etag',
    mimeType: 'text/plain',
    lastModified: new Date(),
  });
}

describe('while commits hang', () => {
  it('writes fail at once after three of them have hung, and reads are served', async () => {
    await postgres.hang();
    await failToCreate(3);
    const startMs = performance.now();
    await failToCreate(20);
    expect(performance.now() - startMs).toBeLessThan(5 * HANGS_MS);
    expect(await database.run(ampleWork(), find, NONE)).toEqual([]);
    expect(breakers.reads.open).toBe(false);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['a write that changes no row', () => database.run(ampleWork(), purge.silent, NONE)],
    ['a create that only reads a READY file', () => store.reserve(ampleCall('ready'), intentOf('ready.txt'))],
    [
      'a write that waits for a locked row',
      () => store.markDeleted(ampleCall('locked'), 'locked.txt' as S3Key).catch(() => undefined),
    ],
  ])('%s is no sign that writes work', async (_, answered) => {
    await createReady('ready');
    await store.reserve(ampleCall('locked'), intentOf('locked.txt'));
    const holder = await postgres.admin.connect();
    await holder.query(`begin; select from files where user_id = 'locked' for update`);
    await postgres.hang();
    for (let i = 0; i < 3; i++) {
      expect(breakers.writes.open).toBe(false);
      await failToCreate(1);
      if (i < 2) await answered();
    }
    expect(breakers.writes.open).toBe(true);
    await holder.query('rollback');
    holder.release();
  });

  it('writes leave connections for reads, even before their breaker opens', async () => {
    await Promise.all(Array.from({ length: POOL_SIZE }, () => database.run(ampleWork(), find, NONE)));
    await postgres.hang();
    const writes = Array.from({ length: 4 * POOL_SIZE }, () =>
      create(hanging(newUser(), 4_000)).catch(() => undefined),
    );
    const startMs = performance.now();
    for (let i = 0; i < 20; i++) await database.run(ampleWork(), find, NONE);
    expect(performance.now() - startMs).toBeLessThan(3_000);
    await Promise.all(writes);
  });

  it('a repeated delete does not answer that the file is gone until the standby has the tombstone', async () => {
    const s3Key = 'deleted.txt' as S3Key;
    await store.reserve(ampleCall('ada'), intentOf(s3Key));
    await postgres.hang();
    await expect(store.markDeleted(hanging('ada'), s3Key)).rejects.toMatchObject(unavailable);
    // The cancel has ended the wait, so Postgres shows the tombstone, which a failover would lose.
    await expect.poll(() => store.find(ampleCall('ada'), s3Key)).toBeUndefined();
    await expect(store.markDeleted(hanging('ada'), s3Key)).rejects.toMatchObject(unavailable);
    await postgres.recover();
    expect(await store.markDeleted(ampleCall('ada'), s3Key)).toBeUndefined();
  });
});

it('lock time-outs alone do not stop writes', async () => {
  await store.reserve(ampleCall('locked'), intentOf('held.txt'));
  const holder = await postgres.admin.connect();
  await holder.query(`begin; select from files where s3_key = 'held.txt' for update`);
  for (let i = 0; i < 5; i++) {
    await expect(store.markDeleted(ampleCall('locked'), 'held.txt' as S3Key)).rejects.toMatchObject({
      cause: { code: '55P03' },
    });
  }
  await holder.query('rollback');
  holder.release();
  expect(breakers.writes.open).toBe(false);
  await create();
});
