/**
 * The operations of the service on a real Postgres and a real object store, with one clock that jumps for all
 * three together.
 */
import { request } from 'node:http';
import {
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import pg from 'pg';
import { vi } from 'vitest';
import type { Call } from '../../src/files/call.ts';
import { refOf, type Swept } from '../../src/files/maintenance/sweep.ts';
import { createSweeper } from '../../src/files/maintenance/sweeper.ts';
import type { EventQueue, EventRef } from '../../src/files/ports/event-queue.ts';
import { parseS3Key } from '../../src/files/rules/s3-key.ts';
import { createDatabase as createRunner } from '../../src/postgres/connection/database.ts';
import { createEventQueue } from '../../src/postgres/file-store/event-queue.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { createDatabase } from '../harness/database.ts';
import { ampleCall, ampleWork } from '../harness/deadline.ts';
import { startTestObjectStore } from '../harness/object-store.ts';
import { passTime } from '../harness/pass-time.ts';
import type { Rules } from './model.ts';
import { PART_BYTES } from './model-steps.ts';
import { openOperations } from './operations.ts';

/** The deadline of a call, which is longer than any call takes here. */
const CALL_TIMEOUT_MS = 5_000;

/** How long leased events are kept from other dispatchers. */
const LEASE_SECONDS = 60;

export interface SlowUpload {
  finish(): Promise<number>;
  abort(): void;
}

interface SweptRow {
  key: string;
  outcome: Swept;
}

export type ModelFixture = Awaited<ReturnType<typeof openModelFixture>>;

export async function openModelFixture(rules: Rules) {
  // Node's HTTP server writes the real time into the `Date` header. The SDK must not correct its clock by
  // that header.
  process.env.AWS_DISABLE_CLOCK_SKEW_CORRECTION = 'true';
  const [database, server] = await Promise.all([
    createDatabase(),
    startTestObjectStore({ minPartBytes: PART_BYTES }),
  ]);
  const { bucket } = server;
  const pool = new pg.Pool({ connectionString: database.url, max: 8 });
  // After end() the connections may still be open when the database is dropped.
  pool.on('error', () => undefined);
  await migrate(pool);

  const errors: unknown[] = [];
  const runner = createRunner(pool, (_, run) => run());
  const events = createEventQueue(runner);
  const operations = openOperations({
    database: runner,
    bucket: server,
    limits: { ...rules, announcesChanges: true },
    unitBytes: PART_BYTES,
    observer: {
      contentMismatch: () => undefined,
      partsMismatch: () => undefined,
      fileLost: () => undefined,
      // S3 never fails here, so every reported failure is an error.
      stepFailed: (step: string, error: unknown) => void errors.push(new Error(step, { cause: error })),
    },
  });
  const {
    client,
    store,
    create,
    createMany,
    list,
    get,
    getMany,
    download,
    remove,
    begin,
    presignParts,
    complete,
  } = operations;
  /**
   * The model's clock does not move during a call. The deadline of a call that does not end must pass all the
   * same.
   */
  const as = async <Answer>(userId: string, run: (call: Call) => Promise<Answer>): Promise<Answer> => {
    const deadline = Date.now() + CALL_TIMEOUT_MS;
    const impatience = setTimeout(() => vi.setSystemTime(deadline), CALL_TIMEOUT_MS);
    try {
      return await run({ userId, deadline });
    } finally {
      clearTimeout(impatience);
    }
  };
  let aheadMs = 0;
  const setClock = () => vi.setSystemTime(performance.timeOrigin + performance.now() + aheadMs);
  vi.useFakeTimers({ toFake: ['Date'] });
  setClock();

  return {
    create: (user: string, ask: Parameters<typeof create>[1]) => as(user, (call) => create(call, ask)),
    createMany: (user: string, asks: Parameters<typeof createMany>[1]) =>
      as(user, (call) => createMany(call, asks)),
    getMany: (user: string, keys: string[]) => as(user, (call) => getMany(call, keys)),
    begin: (user: string, ask: Parameters<typeof begin>[1]) => as(user, (call) => begin(call, ask)),
    presignParts: (user: string, s3Key: string, partNumbers: number[]) =>
      as(user, (call) => presignParts(call, { s3Key, partNumbers })),
    complete: (user: string, key: string) => as(user, (call) => complete(call, key)),
    list: (user: string, page: Parameters<typeof list>[1]) => as(user, (call) => list(call, page)),
    get: (user: string, key: string) => as(user, (call) => get(call, key)),
    download: (user: string, key: string) => as(user, (call) => download(call, key)),
    delete: (user: string, key: string) => as(user, (call) => remove(call, key)),

    /** Runs one round of the sweeper, as every instance does. */
    async sweep(): Promise<SweptRow[]> {
      const swept: SweptRow[] = [];
      const sweeper = createSweeper({
        store,
        async sweepOne(call, due) {
          const outcome = await operations.sweepOne(call, due);
          swept.push({ key: refOf(due).s3Key, outcome });
          return outcome;
        },
        intervalSeconds: 1,
        onSwept: () => undefined,
        onOverdue: () => undefined,
        onError: (error) => void errors.push(error),
      });
      await sweeper.sweep();
      return swept;
    },

    /** Leases rows as a sweeper does that is killed right after that. */
    async leaseAndDie(): Promise<number> {
      return (await store.leaseDue(ampleWork(), 50, 60)).length;
    },

    /** Leases events as a dispatcher does. */
    leaseEvents: (limit: number) => events.leaseEvents(ampleWork(), limit, LEASE_SECONDS),
    acknowledgeEvents: (refs: readonly EventRef[]) => events.acknowledgeEvents(ampleWork(), refs),
    postponeEvents: (postponed: readonly (EventRef & { pauseSeconds: number })[]) =>
      events.postponeEvents(
        ampleWork(),
        postponed.map((event) => ({ ...event, isCounted: true })),
      ),
    /** @returns how many files were announced again */
    async replayEvents(): Promise<number> {
      let total = 0;
      let after: Parameters<EventQueue['replayEvents']>[3];
      do {
        const { replayed, next } = await events.replayEvents(ampleWork(), 2, {}, after);
        total += replayed;
        after = next;
      } while (after !== undefined);
      return total;
    },

    /** Errors that were reported to no caller. There must be none. */
    errors,

    now: () => Date.now(),

    /**
     * Moves time ahead for all parts: JavaScript's clock, which the object store and the signatures use, goes
     * ahead. Postgres's clock cannot, so the times in its rows go back. `last_modified` is S3's time and does
     * not change.
     */
    async jump(ms: number): Promise<void> {
      aheadMs += ms;
      setClock();
      await passTime(pool, ms / 1_000);
    },

    /**
     * Sends the headers, waits until the server has checked them and asks for the bytes, and holds the bytes
     * back.
     */
    beginPut(url: string, headers: Record<string, string>, bytes: string): Promise<SlowUpload | number> {
      return new Promise((resolve, reject) => {
        const put = request(url, {
          method: 'PUT',
          headers: { 'content-length': Buffer.byteLength(bytes), ...headers, expect: '100-continue' },
        });
        let answered: (status: number) => void = resolve;
        let failed: (error: unknown) => void = reject;
        put.on('error', (error) => failed(error));
        put.on('response', (response) => {
          response.resume();
          response.on('end', () => answered(response.statusCode ?? 0));
        });
        put.on('continue', () =>
          resolve({
            finish: () =>
              new Promise((resolveEnd, rejectEnd) => {
                answered = resolveEnd;
                failed = rejectEnd;
                put.end(bytes);
              }),
            abort() {
              failed = () => undefined;
              put.destroy();
            },
          }),
        );
        put.flushHeaders();
      });
    },

    async strangerWrites(key: string, content: string, mimeType: string): Promise<void> {
      await client.send(
        new PutObjectCommand({ Bucket: bucket, Key: key, Body: content, ContentType: mimeType }),
      );
    },
    async strangerRemoves(key: string): Promise<void> {
      await operations.objects.remove(ampleCall(), parseS3Key(key));
    },

    async strangerAborts(key: string): Promise<void> {
      for (const uploadId of await operations.multipart.uploadsOf(ampleCall(), parseS3Key(key))) {
        await operations.multipart.abort(ampleCall(), parseS3Key(key), uploadId);
      }
    },
    /** Keys with unfinished multipart uploads. */
    async uploads(prefix: string): Promise<string[]> {
      const input = { Bucket: bucket, Prefix: prefix };
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand(input));
      return Uploads.map(({ Key = '' }) => Key);
    },

    /** The objects in the bucket, read without the service. */
    async objects(prefix: string): Promise<Map<string, string>> {
      const { Contents = [], IsTruncated } = await client.send(
        new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix }),
      );
      if (IsTruncated) throw new Error('the bucket has more objects than one run can make');
      const found = new Map<string, string>();
      for (const { Key = '' } of Contents) found.set(Key, (await this.object(Key)) ?? '');
      return found;
    },
    async object(key: string): Promise<string | undefined> {
      try {
        const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
        return await Body?.transformToString();
      } catch (error) {
        if ((error as Error).name === 'NoSuchKey') return undefined;
        throw error;
      }
    },
    async rows(): Promise<{ user_id: string; s3_key: string; state: string }[]> {
      const { rows } = await pool.query('select user_id, s3_key, state from files');
      return rows;
    },

    /** Empties the table, so that a run does not see rows of the run before. */
    async reset(): Promise<void> {
      errors.length = 0;
      aheadMs = 0;
      setClock();
      await pool.query('delete from files');
    },

    async [Symbol.asyncDispose](): Promise<void> {
      vi.useRealTimers();
      await pool.end();
      client.destroy();
      await Promise.all([database.drop(), server.stop()]);
    },
  };
}
