import { afterEach, beforeEach, expect, vi } from 'vitest';
import type { ReadyFile } from '../../../src/files/file.ts';
import type { Reservation } from '../../../src/files/ports/reservations.ts';
import type { SeenObject } from '../../../src/files/ports/transitions.ts';
import { fingerprintOf } from '../../../src/files/rules/fingerprint.ts';
import { parseMd5 } from '../../../src/files/rules/md5.ts';
import type { StoreLimits } from '../../../src/postgres/store-limits.ts';
import type { OwnedIntent, Ref } from '../../harness/deadline.ts';
import { forAllTests } from '../../harness/for-all-tests.ts';
import { md5 } from '../../harness/random.ts';
import { STORE_LIMITS } from '../../harness/store-limits.ts';
import type { OpenStore } from '../open-store.ts';

export const HOUR = 3_600;
export const DAY = 24 * HOUR;

export const LIMITS: StoreLimits = {
  ...STORE_LIMITS,
  pendingMax: 20,
  pendingMultipartMax: 5,
  examinedMax: 12,
};

/**
 * A file is purgeable this many seconds after it was reserved: its URL has expired, and a late PUT has ended.
 */
export const PURGEABLE_AFTER = LIMITS.urlSeconds + LIMITS.longestUploadSeconds;

/** The sweeper handles a row at the earliest this many seconds after its last change. */
export const FIRST_PAUSE = 30;

/** 5 TiB, the largest object of S3. It does not fit into 32 bits, nor exactly into a float4. */
export const LARGEST = 5 * 1024 ** 4;

export const PAST = new Date('2024-05-06T07:08:09.123Z');

export interface Named {
  userId?: string;
  /** Default: the key of this name. */
  s3Key?: string;
  content?: string;
  size?: number | undefined;
  mimeType?: string;
}

export function intent(filename: string, { content = filename, ...over }: Named = {}): OwnedIntent {
  const userId = over.userId ?? 'ada';
  return {
    s3Key: `${userId}_${filename}`,
    filename,
    mimeType: 'application/pdf',
    fingerprint: fingerprintOf(parseMd5(md5(content))),
    size: 3,
    ...over,
    userId,
  };
}

export const seen = (over: Partial<SeenObject> = {}): SeenObject => ({
  size: 7,
  etag: 'etag of S3',
  mimeType: 'text/plain',
  lastModified: PAST,
  ...over,
});

export const filesOf = (outcomes: Reservation[]) =>
  outcomes.flatMap((outcome) => (outcome.refused === undefined ? outcome.file : []));

interface Row {
  state: string;
  filename: string;
  mime_type: string;
  size: number | null;
  lost: boolean;
  sweep_attempts: number;
  pending_slot: number | null;
  /** Seconds from now. `url_end` has the same unit. */
  due: number | null;
  url_end: number;
}

/** Allows a difference of 4 seconds, because a busy machine may be slow. */
export const about = (seconds: number) =>
  expect.toSatisfy((value: number) => Math.abs(value - seconds) < 4, `about ${seconds}`);

export type StoreFixture = ReturnType<typeof openStoreFixture>;

/** Opens a store for the tests of the calling `describe`, each of which begins with an empty table. */
export function openStoreFixture(open: (limits: StoreLimits) => Promise<OpenStore>) {
  const opened = forAllTests(async () => {
    const store = await open(LIMITS);
    return { ...store, [Symbol.asyncDispose]: () => store.close() };
  });
  const store = forAllTests(async () => ({ ...opened.store, async [Symbol.asyncDispose]() {} }));
  beforeEach(async () => {
    await opened.pool.query('delete from files');
  });
  afterEach(async () => {
    vi.useRealTimers();
    const { rows } = await opened.pool.query(
      `select query from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'`,
    );
    expect(rows, 'a transaction was left open').toEqual([]);
  });

  /** Reads the row without the store. The times are seconds from now. */
  async function row({ userId, s3Key }: Ref): Promise<Row | undefined> {
    const { rows } = await opened.pool.query<Row>(
      `select state, filename, mime_type, size::float8 as size, lost, sweep_attempts, pending_slot,
         extract(epoch from due_at - now())::float8 as due,
         extract(epoch from url_expire_at - now())::float8 as url_end
       from files where user_id = $1 and s3_key = $2`,
      [userId, s3Key],
    );
    return rows[0];
  }

  /**
   * Every column of every row, and the transaction that wrote the row (`xmin`), which shows a write without
   * changes.
   */
  async function everything(userId?: string): Promise<unknown[]> {
    const { rows } = await opened.pool.query(
      'select *, xmin::text from files where $1::text is null or user_id = $1 order by user_id, s3_key',
      [userId],
    );
    return rows;
  }

  const liveRows = async () => {
    const { rows } = await opened.pool.query<{ s3_key: string }>(
      `select s3_key from files where state <> 'deleted' order by s3_key`,
    );
    return rows.map(({ s3_key }) => s3_key);
  };

  async function pending(filename: string, over?: Named) {
    const made = await store.reserve(intent(filename, over));
    if (made.refused !== undefined || made.file.state !== 'pending') {
      throw new Error(`not PENDING: ${JSON.stringify(made)}`);
    }
    return made.file;
  }

  async function ready(filename: string, over?: Named & { lastModified?: Date }): Promise<ReadyFile> {
    const { lastModified = PAST, ...named } = over ?? {};
    const file = await store.markReady(await pending(filename, named), seen({ lastModified }));
    if (file === undefined) throw new Error('not READY');
    return file;
  }

  /** A READY file whose last verification is older than the verification TTL. */
  async function stale(filename: string, over?: Named): Promise<ReadyFile> {
    await ready(filename, over);
    await opened.shiftTime(LIMITS.verificationTtlSeconds + 1);
    const file = await store.find(intent(filename, over));
    if (file?.state !== 'ready') throw new Error('not READY');
    return file;
  }

  async function lost(filename: string, over?: Named) {
    const file = await stale(filename, over);
    await store.markLost(file);
    return file;
  }

  async function deleted(filename: string, over?: Named) {
    const file = await pending(filename, over);
    expect(await store.markDeleted(file)).toBeDefined();
    return file;
  }

  return { opened, store, row, everything, liveRows, pending, ready, stale, lost, deleted };
}
