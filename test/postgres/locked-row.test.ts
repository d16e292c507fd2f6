import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Status } from '../../gen/google/rpc/status_pb.ts';
import { createDatabase as databaseOn } from '../../src/postgres/connection/database.ts';
import { createPool } from '../../src/postgres/connection/pool.ts';
import { markDeleted } from '../../src/postgres/statements/transitions.ts';
import { ampleCall } from '../harness/deadline.ts';
import { failureOf } from '../harness/failure.ts';
import { failureOfStatus } from '../harness/failure-of-status.ts';
import { md5 } from '../harness/random.ts';
import { startTestService, type TestService } from '../harness/service.ts';

const DELETES = 40;
/** A busy machine makes about 10 lists in a second, an idle one 300. */
const LISTS_MIN = 4;
const PENDING_MAX = 5;

let service: TestService;
let other: pg.Client;
beforeAll(async () => {
  service = await startTestService({
    SWEEP_INTERVAL_SECONDS: '3600',
    MAX_PENDING_UPLOADS: String(PENDING_MAX),
  });
  other = new pg.Client({ connectionString: service.environment.DATABASE_URL });
  await other.connect();
});
afterAll(async () => {
  await other.end();
  await service[Symbol.asyncDispose]();
});

const request = (name: string) => ({ filename: `${name}.txt`, mimeType: 'text/plain', md5: md5(name) });

const create = (user: string) =>
  service.as(user).createPresignedUpload({ filename: 'a.txt', mimeType: 'text/plain', md5: md5('a') });

describe('while another session has locked a row of a user', () => {
  let s3Key: string;
  beforeEach(async () => {
    s3Key = (await create('ada')).s3Key;
    await other.query('begin');
    await other.query('select from files where s3_key = $1 for update', [s3Key]);
  });
  afterEach(() => other.query('rollback'));

  it('forty deletes of that row do not delay another user', async () => {
    const bob = service.as('bob');
    for (let i = 0; i < 20; i++) await bob.listFiles({});
    let ended = 0;
    const deletes = Array.from({ length: DELETES }, () =>
      failureOf(service.as('ada').deleteFile({ s3Key })).finally(() => ended++),
    );
    // The deletes hold connections until the first of them ends, after a second. A list that waited for a connection
    // would end after that.
    let lists = 0;
    for (; ended === 0; lists++) await bob.listFiles({});
    expect(lists).toBeGreaterThan(LISTS_MIN);
    // Each delete held a connection for a second, or waited for one for two thirds of its 3 s.
    for (const failure of await Promise.all(deletes)) {
      expect(failure).toMatchObject({ code: 'Unavailable', reason: 'DATABASE_UNAVAILABLE' });
    }
  });

  it('deletes with deadlines before the lock time-out do not stop the writes of another user', async () => {
    const short = { timeoutMs: 1_000 };
    const deletes = Array.from({ length: 5 }, () =>
      failureOf(service.as('ada').deleteFile({ s3Key }, short)),
    );
    for (const failure of await Promise.all(deletes)) expect(failure).toMatchObject({ code: 'Unavailable' });
    await create('carol');
  });

  it('a statement that waits for the row fails after lockTimeoutMs, and its connection stays open', async () => {
    const options = {
      maxConnections: 1,
      connectTimeoutMs: 5_000,
      statementTimeoutMs: 10_000,
      lockTimeoutMs: 100,
    };
    const url = service.environment.DATABASE_URL as string;
    const pool = createPool({ urls: [url], ...options, onIdleError: () => undefined });
    const pid = async () => (await pool.query('select pg_backend_pid() as pid')).rows[0].pid;
    const before = await pid();
    const database = databaseOn(pool, (_, run) => run(), options);
    await expect(
      database.run(ampleCall('ada'), markDeleted.silent, { userId: 'ada', s3Key, urlSeconds: 60 }),
    ).rejects.toMatchObject({
      reason: 'DATABASE_UNAVAILABLE',
      message: 'another session has locked the file in the database; retry',
      retryAfterMs: 1_000,
      cause: { code: '55P03' },
    });
    expect(await pid()).toBe(before);
    await pool.end();
  });

  it('a batch of creates fails for that file alone', async () => {
    const ada = service.as('ada');
    const requests = ['a', 'b', 'c'].map(request);
    const { results } = await ada.batchCreatePresignedUploads({ requests });
    const failures = results.map(({ result }) =>
      result.case === 'status' ? failureOfStatus(result.value as Status) : undefined,
    );
    expect(failures[0]).toMatchObject({
      code: 'Unavailable',
      reason: 'DATABASE_UNAVAILABLE',
      message: 'another session has locked the file in the database; retry',
    });
    expect(failures.slice(1)).toEqual([undefined, undefined]);
  });

  it.each([1, 2])('%d creates get the slots of other uploads whose URLs have expired', async (count) => {
    const ada = service.as('ada');
    const requests = Array.from({ length: PENDING_MAX - 1 }, (_, i) => request(`expired ${count} ${i}`));
    await ada.batchCreatePresignedUploads({ requests });
    await service.pool.query(
      `update files set url_expire_at = now() - interval '1 s' where user_id = 'ada' and s3_key <> $1`,
      [s3Key],
    );
    const locked = await other.query(
      `select from files where user_id = 'ada' and pending_slot is not null and s3_key <> $1 limit 1 for update`,
      [s3Key],
    );
    expect(locked.rowCount).toBe(1);
    if (count === 1) return void (await ada.createPresignedUpload(request('new 1')));
    const { results } = await ada.batchCreatePresignedUploads({
      requests: [request('new 2'), request('new 3')],
    });
    expect(results.map(({ result }) => result.case)).toEqual(['response', 'response']);
  });

  it('the caller of a delete learns that another session has locked the file, and a later delete succeeds', async () => {
    const ada = service.as('ada');
    const startMs = performance.now();
    await expect(ada.deleteFile({ s3Key })).rejects.toThrow('another session has locked the file');
    expect(performance.now() - startMs).toBeLessThan(2_400);
    await other.query('rollback');
    await ada.deleteFile({ s3Key });
  });
});
