import { beforeEach, expect, it } from 'vitest';
import type { Call } from '../../src/files/call.ts';
import type { UploadIntent } from '../../src/files/ports/reservations.ts';
import { reserveFiles } from '../../src/files/reserve-files.ts';
import { fingerprintOf } from '../../src/files/rules/fingerprint.ts';
import { parseMd5 } from '../../src/files/rules/md5.ts';
import type { S3Key } from '../../src/files/rules/s3-key.ts';
import { createDatabase } from '../../src/postgres/connection/database.ts';
import { createPool } from '../../src/postgres/connection/pool.ts';
import { createFileStore } from '../../src/postgres/file-store.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { createDatabase as createTestDatabase } from '../harness/database.ts';
import { ampleCall } from '../harness/deadline.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { md5 } from '../harness/random.ts';
import { STORE_LIMITS } from '../harness/store-limits.ts';
import { waitFor } from '../harness/wait-for.ts';

/** The names of the statements that a test has run. */
let statements: string[] = [];

const opened = forAllTests(async () => {
  const database = await createTestDatabase();
  const pool = createPool({
    urls: [database.url],
    maxConnections: 16,
    connectTimeoutMs: 10_000,
    statementTimeoutMs: 10_000,
    onIdleError: () => undefined,
  });
  await migrate(pool);
  const observed = createDatabase(pool, (name, run) => {
    statements.push(name);
    return run();
  });
  return {
    pool,
    store: createFileStore(observed, { ...STORE_LIMITS, pendingMax: 2_000 }),
    async [Symbol.asyncDispose]() {
      await pool.end();
      await database.drop();
    },
  };
});

beforeEach(async () => {
  await opened.pool.query('delete from files');
  statements = [];
});

const intentsOf = (batch: number, files: number): Omit<UploadIntent, 's3Key'>[] =>
  Array.from({ length: files }, (_, i) => ({
    filename: `${batch} ${i}`,
    mimeType: 'text/plain',
    fingerprint: fingerprintOf(parseMd5(md5(`${batch} ${i}`))),
    size: 3,
  }));

/** @returns whether all files of the batch were created */
async function createBatch(call: Call, batch: number, files: number): Promise<boolean> {
  const reservations = await reserveFiles(call, opened.store, intentsOf(batch, files));
  return [...reservations.values()].every((one) => one.refused === undefined && one.created);
}

it('12 parallel batches of one user create all of their files, each with one try', async () => {
  const batches = Array.from({ length: 12 }, (_, batch) => createBatch(ampleCall(), batch, 100));
  expect(await Promise.all(batches)).toEqual(batches.map(() => true));
  const counts = Object.entries(Object.groupBy(statements, (name) => name));
  expect(Object.fromEntries(counts.map(([name, runs]) => [name, runs?.length]))).toEqual({
    find_contents: 12,
    find_keys: 12,
    create_many: 12,
  });
});

it('a batch whose turn does not come in time fails alone, and delays no other user', async () => {
  const { pool, store } = opened;
  const one = { ...intentsOf(0, 1)[0], s3Key: 'key' as S3Key } as UploadIntent;
  await store.reserve(ampleCall(), one);
  // The lowest free slot is taken in a transaction that stays open, so a batch of the user must wait.
  const holder = await pool.connect();
  await holder.query('begin');
  await holder.query('update files set pending_slot = case pending_slot when 1 then 2 else 1 end');
  let hasEnded = false;
  const first = createBatch(ampleCall(), 1, 3).finally(() => {
    hasEnded = true;
  });
  await waitFor(() => expect(statements).toContain('create_many'));
  const late = createBatch({ userId: 'ada', deadline: Date.now() + 300 }, 2, 3);
  const next = createBatch(ampleCall(), 3, 3);
  await expect(late).rejects.toMatchObject({
    reason: 'DATABASE_UNAVAILABLE',
    cause: { name: 'QueueTimeoutError' },
  });
  expect(await createBatch(ampleCall('bob'), 4, 3)).toBe(true);
  expect(hasEnded).toBe(false);
  await holder.query('rollback');
  holder.release();
  expect(await Promise.all([first, next])).toEqual([true, true]);
});
