/**
 * Several instances of the service on one Postgres and one bucket, each with its own pool and its own client.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { UserFile } from '../../src/files/file.ts';
import { FileError, type Reason } from '../../src/files/file-error.ts';
import { refOf, type Swept } from '../../src/files/maintenance/sweep.ts';
import { createSweeper } from '../../src/files/maintenance/sweeper.ts';
import type { UploadAnswer } from '../../src/files/operations/create-presigned-upload.ts';
import type { DueFile } from '../../src/files/ports/sweep-queue.ts';
import { createDatabase as createRunner } from '../../src/postgres/connection/database.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import type { StoreLimits } from '../../src/postgres/store-limits.ts';
import { LEAST_PART_BYTES, openTestBucket, type TestBucket } from '../harness/bucket.ts';
import { createDatabase } from '../harness/database.ts';
import { ampleCall } from '../harness/deadline.ts';
import { LONG } from '../harness/long-form.ts';
import { passTime } from '../harness/pass-time.ts';
import { putTo } from '../harness/put.ts';
import { md5 } from '../harness/random.ts';
import { STORE_LIMITS } from '../harness/store-limits.ts';
import { openOperations } from './operations.ts';

export const PART_BYTES = LEAST_PART_BYTES;

const CALL_TIMEOUT_MS = 20_000;
const INSTANCE_CONNECTIONS = 20;

export type Instance = ReturnType<typeof openInstance>;

interface Sweep {
  /** In the order in which they were leased. */
  leased: string[];
  outcomes: Map<string, Swept>;
}

export const keyOf = (due: DueFile): string => refOf(due).s3Key;

function openInstance(url: string, bucket: TestBucket, limits: StoreLimits, errors: unknown[]) {
  const pool = new pg.Pool({ connectionString: url, max: INSTANCE_CONNECTIONS });
  // After end() the connections may still be open when the database is dropped.
  pool.on('error', () => undefined);
  const { client, store, create, list, get, download, remove, begin, presignParts, complete, sweepOne } =
    openOperations({
      database: createRunner(pool, (_, run) => run()),
      bucket,
      limits,
      unitBytes: PART_BYTES,
      observer: {
        contentMismatch: (ref: unknown) => void errors.push(ref),
        partsMismatch: () => undefined,
        fileLost: () => undefined,
        stepFailed: (step: string, error: unknown) => void errors.push(new Error(step, { cause: error })),
      },
    });
  const as = (userId: string) => ({ userId, deadline: Date.now() + CALL_TIMEOUT_MS });
  return {
    store,
    create: (user: string, filename: string, content: string) =>
      create(as(user), { filename, mimeType: 'text/plain', md5: md5(content) }),
    begin(user: string, filename: string, parts: string[]) {
      const size = BigInt(parts.join('').length);
      const partMd5s = parts.map((part) => Buffer.from(md5(part), 'base64'));
      return begin(as(user), { filename, mimeType: 'video/mp4', size, partMd5s });
    },
    presignParts: (user: string, s3Key: string, partNumbers: number[]) =>
      presignParts(as(user), { s3Key, partNumbers }),
    complete: (user: string, key: string) => complete(as(user), key),
    async list(user: string): Promise<UserFile[]> {
      const page = { pageSize: 1_000, pageToken: '', filenamePrefix: '' };
      return (await list(as(user), page)).files;
    },
    get: (user: string, key: string) => get(as(user), key),
    download: (user: string, key: string) => download(as(user), key),
    delete: (user: string, key: string) => remove(as(user), key),
    /** Runs one round of this instance's sweeper. */
    async sweep(): Promise<Sweep> {
      const done: Sweep = { leased: [], outcomes: new Map() };
      await createSweeper({
        store: {
          ...store,
          async leaseDue(work, limit, leaseSeconds) {
            const batch = await store.leaseDue(work, limit, leaseSeconds);
            done.leased.push(...batch.map(keyOf));
            return batch;
          },
        },
        async sweepOne(_, due) {
          const outcome = await sweepOne(ampleCall(refOf(due).userId), due);
          done.outcomes.set(keyOf(due), outcome);
          return outcome;
        },
        intervalSeconds: 1,
        onSwept: () => undefined,
        onOverdue: () => undefined,
        onError: (error) => void errors.push(error),
      }).sweep();
      return done;
    },
    async close() {
      await pool.end();
      client.destroy();
    },
  };
}

export async function openRacesFixture(instances: number, limits: Partial<StoreLimits> = {}) {
  const [database, bucket] = await Promise.all([
    createDatabase(),
    openTestBucket({ minPartBytes: PART_BYTES }),
  ]);
  const pool = new pg.Pool({ connectionString: database.url, max: 4 });
  // After end() the connections may still be open when the database is dropped.
  pool.on('error', () => undefined);
  await migrate(pool);
  /** Errors that were reported to no caller. There must be none. */
  const errors: unknown[] = [];
  const opened = Array.from({ length: instances }, () =>
    openInstance(database.url, bucket, { ...STORE_LIMITS, ...limits }, errors),
  );
  return {
    pool,
    errors,
    /** Returns an instance. An index beyond the last instance counts from the first one again. */
    instance(index: number): Instance {
      const instance = opened[index % opened.length];
      if (instance === undefined) throw new Error('no instances');
      return instance;
    },
    instances: opened,
    later: (seconds: number) => passTime(pool, seconds),
    /** Sweeps long after all URLs have expired: objects that are left then stay for ever. */
    async settle(): Promise<void> {
      for (let round = 0; round < 4; round++) {
        await this.later(9 * 86_400);
        await this.instance(round).sweep();
      }
    },
    async rows(user?: string): Promise<{ s3_key: string; state: string; fingerprint: string }[]> {
      const { rows } = await pool.query(
        `select s3_key, state, encode(fingerprint, 'base64') as fingerprint from files
         where $1::text is null or user_id = $1 order by s3_key`,
        [user],
      );
      return rows;
    },
    /** Unfinished multipart uploads of all users. */
    uploads: () => bucket.uploads(),
    /** Aborts all uploads without the service. */
    async abortAll(): Promise<void> {
      await Promise.all((await bucket.uploads()).map((upload) => bucket.abort(upload)));
    },
    /** The keys in the bucket, read without the service. */
    keys: (prefix: string) => bucket.keys(prefix),
    read: (key: string) => bucket.read(key),
    async [Symbol.asyncDispose](): Promise<void> {
      await Promise.all(opened.map((instance) => instance.close()));
      await pool.end();
      await database.drop();
      await bucket.stop();
    },
  };
}

export async function upload(answer: UploadAnswer, content: string): Promise<number> {
  if (answer.type !== 'new') throw new Error(`${answer.s3Key} already exists`);
  return (await putTo(answer.upload.url, answer.upload.requiredHeaders, content)).status;
}

/** Returns the answer, or the reason of the refusal. */
export async function answered<Answer>(call: Promise<Answer>): Promise<Answer | Reason> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof FileError) return error.reason;
    throw error;
  }
}

/** The number of repetitions of a race. In each repetition, the calls run in another order. */
export const rounds = (short: number) => (LONG ? short * 5 : short);

/** Waits a random time of at most `maxMs`, so that the calls of a race run in another order each time. */
export const jitter = (maxMs: number) => sleep(Math.random() * maxMs);

export const times = <Result>(count: number, run: (index: number) => Promise<Result>): Promise<Result[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => run(index)));
