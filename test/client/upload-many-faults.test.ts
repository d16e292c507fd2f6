import { create } from '@bufbuild/protobuf';
import { type Client, Code, ConnectError } from '@connectrpc/connect';
import { beforeEach, describe, expect, it } from 'vitest';
import type { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { type ItemRetry, type UploadItem, uploadMany } from '../../src/client/node.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { openFiles } from '../harness/open-files.ts';
import { openFixture } from './fixture.ts';
import { failuresOf, itemsOf, watchMany } from './many-fixture.ts';
import type { PutFault } from './s3-proxy.ts';

const PENDING_MAX = 20;

const fixture = forAllTests(() => openFixture({ MAX_PENDING_UPLOADS: String(PENDING_MAX) }));
beforeEach(() => {
  fixture.proxy.fault = () => 'none';
  fixture.proxy.delayMs = 0;
  fixture.proxy.taken.length = 0;
  fixture.proxy.refused.length = 0;
});

const smallItems = (name: string, count: number) =>
  itemsOf(
    fixture,
    name,
    Array.from({ length: count }, (_, i) => 1_000 + i),
  );

describe('uploadMany retries', () => {
  it('each file whose PUT fails, in whatever way, and reports each retry', async () => {
    const faults: PutFault[] = [
      { status: 500, code: 'InternalError' },
      'reset',
      { status: 503, code: 'SlowDown' },
      'answer lost',
    ];
    fixture.proxy.fault = (n) => (n % 5 === 0 ? (faults[(n / 5) % faults.length] ?? 'none') : 'none');
    const retries: ItemRetry<UploadItem>[] = [];
    const { outcomes, options } = watchMany<UploadItem>();
    const items = await smallItems('faults', 60);
    const summary = await uploadMany(fixture.user(), items, {
      ...options,
      onRetry: (retry) => void retries.push(retry),
    });
    expect(failuresOf(outcomes)).toEqual([]);
    expect(summary).toMatchObject({ uploaded: 60, failed: 0 });
    expect(retries.length).toBeGreaterThanOrEqual(10);
    for (const { item, attempt, delayMs } of retries) {
      expect(items).toContain(item);
      expect(attempt).toBeGreaterThan(0);
      expect(delayMs).toBeGreaterThanOrEqual(0);
    }
  });

  it('a PUT that fails always only for `retryForMs`, and at least twice', async () => {
    fixture.proxy.fault = () => ({ status: 500, code: 'InternalError' });
    const attempts: number[] = [];
    const onRetry = ({ attempt }: ItemRetry<UploadItem>) => void attempts.push(attempt);
    const items = await smallItems('given-up', 2);
    const { outcomes, options } = watchMany<UploadItem>();
    const given = { ...options, onRetry, retryForMs: 0 };
    expect(await uploadMany(fixture.user(), items, given)).toMatchObject({ failed: 2 });
    expect(attempts.toSorted()).toEqual([1, 1, 2, 2]);
    for (const { error } of failuresOf(outcomes)) expect(String(error)).toContain('S3 answered 500');
  });

  it('a PUT that S3 refuses once, and not one that it refuses again', async () => {
    fixture.proxy.fault = (n) => (n === 3 ? { status: 403, code: 'AccessDenied' } : 'none');
    const { outcomes, options } = watchMany<UploadItem>();
    await uploadMany(fixture.user(), await smallItems('refused-once', 15), options);
    expect(failuresOf(outcomes)).toEqual([]);
    fixture.proxy.fault = () => ({ status: 403, code: 'AccessDenied' });
    const all = watchMany<UploadItem>();
    expect(await uploadMany(fixture.user(), await smallItems('refused', 15), all.options)).toMatchObject({
      failed: 15,
    });
    for (const { error } of failuresOf(all.outcomes))
      expect(error).toMatchObject({ reason: 'STORAGE_REFUSED' });
  });
});

describe('uploadMany and the limit of pending uploads', () => {
  it('stores many more files than may be pending', async () => {
    fixture.proxy.delayMs = 30;
    const { outcomes, options } = watchMany<UploadItem>();
    const summary = await uploadMany(fixture.user(), await smallItems('capped', 5 * PENDING_MAX), options);
    expect(failuresOf(outcomes)).toEqual([]);
    expect(summary).toMatchObject({ uploaded: 5 * PENDING_MAX, failed: 0 });
  });

  it('throws the error of the service when other uploads take all the room', async () => {
    const files = fixture.user();
    for (let i = 0; i < PENDING_MAX; i++) {
      await files.createPresignedUpload({
        filename: `${i}`,
        mimeType: 'a/b',
        md5: i.toString().padStart(32, '0'),
      });
    }
    const { outcomes, options } = watchMany<UploadItem>();
    expect(await uploadMany(files, await smallItems('full', 30), options)).toMatchObject({ failed: 30 });
    for (const { error } of failuresOf(outcomes))
      expect(error).toMatchObject({ code: Code.ResourceExhausted });
  });
});

describe('uploadMany and calls', () => {
  /** Returns a client whose first `times` calls of BatchCreatePresignedUploads fail. */
  function failing(files: Client<typeof FileService>, times: number, error: () => ConnectError) {
    const callsMs: number[] = [];
    const client: Client<typeof FileService> = {
      ...files,
      batchCreatePresignedUploads: (request, options) => {
        callsMs.push(performance.now());
        return callsMs.length <= times
          ? Promise.reject(error())
          : files.batchCreatePresignedUploads(request, options);
      },
    };
    return { client, callsMs };
  }

  it('makes single calls to a service without batches', async () => {
    const unimplemented = () => Promise.reject(new ConnectError('unknown method', Code.Unimplemented));
    const client: Client<typeof FileService> = {
      ...fixture.user(),
      batchCreatePresignedUploads: unimplemented,
      batchGetFiles: unimplemented,
    };
    const items = [...(await smallItems('single', 15)), { source: Buffer.from('x'), filename: 'a/b' }];
    const { outcomes, options } = watchMany<UploadItem>();
    expect(await uploadMany(client, items, options)).toMatchObject({ uploaded: 15, failed: 1 });
    expect(failuresOf(outcomes)).toMatchObject([{ error: { code: Code.InvalidArgument } }]);
  });

  it('makes no call before the time of RetryInfo', async () => {
    const retryDelay = { seconds: 0n, nanos: 700_000_000 };
    const { client, callsMs } = failing(fixture.user(), 1, () => {
      const detail = { desc: RetryInfoSchema, value: create(RetryInfoSchema, { retryDelay }) };
      return new ConnectError('too many calls', Code.ResourceExhausted, undefined, [detail]);
    });
    expect(await uploadMany(client, await smallItems('overloaded', 100))).toMatchObject({ uploaded: 100 });
    expect((callsMs[1] ?? 0) - (callsMs[0] ?? 0)).toBeGreaterThanOrEqual(699);
  });

  it('repeats a batch whose answer was lost', async () => {
    const { client } = failing(
      fixture.user(),
      2,
      () => new ConnectError('connection reset', Code.Unavailable),
    );
    expect(await uploadMany(client, await smallItems('lost', 10))).toMatchObject({ uploaded: 10 });
  });
});

describe('uploadMany ends', () => {
  it('at once with the reason of the signal, without failures, leaves nothing open, and can be repeated', async () => {
    const files = fixture.user();
    const items = await itemsOf(
      fixture,
      'aborted',
      Array.from({ length: 60 }, (_, i) => (i % 10 === 0 ? 1_500_000 : 20_000)),
    );
    fixture.proxy.delayMs = 30;
    const reason = new Error('enough');
    let aborted = 0;
    for (let i = 0; i < 10; i++) {
      const abort = new AbortController();
      setTimeout(() => abort.abort(reason), Math.random() * 300);
      const { outcomes, options } = watchMany<UploadItem>();
      const running = uploadMany(files, items, { ...options, signal: abort.signal });
      const ended = await running.catch((error: unknown) => error);
      if (ended === reason) aborted++;
      else expect(ended).toMatchObject({ failed: 0 });
      // Files that are not done yet get no outcome.
      expect(failuresOf(outcomes)).toEqual([]);
      expect(openFiles(items.map(({ source }) => String(source)))).toEqual([]);
      await expect.poll(() => fixture.proxy.connections).toBe(0);
    }
    expect(aborted).toBeGreaterThan(0);
    const again = await uploadMany(files, items);
    expect(again.uploaded + again.existing).toBe(60);
  }, 60_000);

  it('with the error that a callback throws', async () => {
    const error = new Error('a bug of the caller');
    const onOutcome = () => {
      throw error;
    };
    await expect(uploadMany(fixture.user(), await smallItems('bug', 30), { onOutcome })).rejects.toBe(error);
  });

  it('with the error of the iterator, and closes an iterator that an abort interrupts', async () => {
    const error = new Error('the walk failed');
    async function* failingWalk() {
      yield { source: Buffer.from('walked'), filename: 'walked' };
      throw error;
    }
    await expect(uploadMany(fixture.user(), failingWalk())).rejects.toBe(error);

    let isClosed = false;
    async function* endless() {
      try {
        for (let i = 0; ; i++) yield { source: Buffer.from(`endless ${Math.random()}`), filename: `${i}` };
      } finally {
        isClosed = true;
      }
    }
    const signal = AbortSignal.timeout(300);
    await expect(uploadMany(fixture.user(), endless(), { signal })).rejects.toThrow('timeout');
    await expect.poll(() => isClosed).toBe(true);
  });

  it('with the error that `onProgress` throws, and closes the iterator', async () => {
    const error = new Error('a bug of the caller');
    let isClosed = false;
    async function* endless() {
      try {
        for (let i = 0; ; i++) yield { source: Buffer.from(`${i}`), filename: `${i}` };
      } finally {
        isClosed = true;
      }
    }
    const onProgress = () => {
      throw error;
    };
    await expect(uploadMany(fixture.user(), endless(), { onProgress })).rejects.toBe(error);
    await expect.poll(() => isClosed).toBe(true);
  });

  it('although the iterator never answers, when the signal is aborted', async () => {
    const hanging = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) };
    const signal = AbortSignal.timeout(100);
    await expect(uploadMany(fixture.user(), hanging, { signal })).rejects.toThrow('timeout');
  });
});
