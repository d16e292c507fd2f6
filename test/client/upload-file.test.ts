import { open, readFile, truncate, utimes, writeFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError } from '@connectrpc/connect';
import { beforeEach, describe, expect, it } from 'vitest';
import { FileState } from '../../gen/files/v1/file_pb.ts';
import { type Progress, UploadError, uploadFile } from '../../src/client/node.ts';
import { startFaultProxy } from '../harness/fault-proxy.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { openFiles } from '../harness/open-files.ts';
import { newUser } from '../harness/random.ts';
import { createFileClient } from '../harness/service-process.ts';
import { downloaded, openFixture, PART_BYTES, sha256 } from './fixture.ts';

/** The size of a file with four parts, the last of 1 kB. */
const BYTES = 3 * PART_BYTES + 1_000;
const AS_MULTIPART = { multipartFromBytes: PART_BYTES };

const fixture = forAllTests(() => openFixture());
beforeEach(() => {
  fixture.proxy.fault = () => 'none';
  fixture.proxy.delayMs = 0;
  fixture.proxy.taken.length = 0;
  fixture.proxy.refused.length = 0;
});

/** Records the progress, and checks that every report is consistent with the report before. */
function watch() {
  const seen: Progress[] = [];
  const onProgress = (now: Progress) => {
    const before = seen.at(-1) ?? { ...now, bytesHashed: 0, bytesSent: 0, bytesResumed: 0, phase: 'hashing' };
    const phases = ['hashing', 'sending', 'completing', 'done'];
    expect(now.bytesHashed).toBeGreaterThanOrEqual(before.bytesHashed);
    expect(now.bytesSent).toBeGreaterThanOrEqual(before.bytesSent);
    expect(now.bytesHashed).toBeLessThanOrEqual(now.bytesTotal);
    expect(now.bytesSent + now.bytesResumed).toBeLessThanOrEqual(now.bytesTotal);
    expect(now.bytesTotal).toBe(before.bytesTotal);
    if (before.phase !== 'completing')
      expect(phases.indexOf(now.phase)).toBeGreaterThanOrEqual(phases.indexOf(before.phase));
    seen.push(now);
  };
  return { seen, onProgress };
}

async function failureOf(upload: Promise<unknown>): Promise<{ reason: string; message: string }> {
  const error = await upload.then(
    () => new Error('it succeeded'),
    (failure: unknown) => failure,
  );
  if (!(error instanceof UploadError)) throw error;
  return error;
}

describe('uploadFile', () => {
  it.each(['gRPC', 'Connect'] as const)(
    'uploads a large file as multipart over %s, and only once',
    async (protocol) => {
      const files = fixture.user(protocol);
      const path = await fixture.file('film.mp4', BYTES);
      const { seen, onProgress } = watch();
      const { file, ...rest } = await uploadFile(files, path, {
        ...AS_MULTIPART,
        mimeType: 'video/mp4',
        onProgress,
      });
      expect(rest).toEqual({ existing: false, bytesSent: BYTES, bytesResumed: 0 });
      expect(file).toMatchObject({
        filename: 'film.mp4',
        size: BigInt(BYTES),
        mimeType: 'video/mp4',
        state: FileState.READY,
      });
      expect(fixture.proxy.taken.toSorted()).toEqual([1, 2, 3, 4]);
      expect(seen.at(-1)).toEqual({
        phase: 'done',
        bytesTotal: BYTES,
        bytesHashed: BYTES,
        bytesSent: BYTES,
        bytesResumed: 0,
      });
      expect(sha256(await downloaded(files, file.s3Key))).toBe(sha256(await readFile(path)));

      const again = await uploadFile(files, path, AS_MULTIPART);
      expect(again).toMatchObject({ existing: true, bytesSent: 0, file: { s3Key: file.s3Key } });
      expect(fixture.proxy.taken).toHaveLength(4);
    },
  );

  it('uploads a small file with one PUT, and only once', async () => {
    const files = fixture.user();
    const path = await fixture.file('small.txt', 300_000);
    const { seen, onProgress } = watch();
    const first = await uploadFile(files, path, { onProgress });
    expect(first).toMatchObject({ existing: false, bytesSent: 300_000, file: { state: FileState.READY } });
    expect(first.file.mimeType).toBe('application/octet-stream');
    expect(seen.map(({ phase }) => phase)).toEqual(expect.arrayContaining(['hashing', 'sending', 'done']));
    expect(await uploadFile(files, path)).toMatchObject({ existing: true, bytesSent: 0 });
    expect(fixture.proxy.taken).toEqual([0]);
  });

  it('accepts an empty file, bytes, a Blob, a File, a URL and an open file', async () => {
    const files = fixture.user();
    const path = await fixture.file('by-url.bin', 2_000);
    await using handle = await open(path);
    const bytes = new TextEncoder().encode('bytes');
    const names = async (...args: Parameters<typeof uploadFile>) => (await uploadFile(...args)).file;
    expect(await names(files, await fixture.file('empty', 0))).toMatchObject({ filename: 'empty', size: 0n });
    expect(await names(files, bytes, { filename: 'b' })).toMatchObject({ filename: 'b', size: 5n });
    const blob = new Blob(['blob'], { type: 'text/plain' });
    expect(await names(files, blob, { filename: 'c' })).toMatchObject({ mimeType: 'text/plain', size: 4n });
    expect(await names(files, new File(['file'], 'd.txt'))).toMatchObject({ filename: 'd.txt', size: 4n });
    expect(await names(files, new URL(`file://${path}`))).toMatchObject({ filename: 'by-url.bin' });
    expect(await names(files, handle, { filename: 'e' })).toMatchObject({ size: 2_000n });
    // A file that the caller opened stays open.
    expect((await handle.stat()).size).toBe(2_000);
    const large = new Blob([await readFile(await fixture.file('blob', BYTES))]);
    const multipart = await names(files, large, { ...AS_MULTIPART, filename: 'f' });
    expect(sha256(await downloaded(files, multipart.s3Key))).toBe(sha256(await large.bytes()));
  });

  it('refuses a directory, bytes without a name and a missing file', async () => {
    const files = fixture.user();
    expect(await failureOf(uploadFile(files, fixture.directory))).toMatchObject({
      reason: 'SOURCE_UNUSABLE',
    });
    expect(await failureOf(uploadFile(files, new Uint8Array(1)))).toMatchObject({
      reason: 'SOURCE_UNUSABLE',
    });
    await expect(uploadFile(files, '/nowhere')).rejects.toThrow('ENOENT');
  });

  it.each([
    ['a stream', Readable.from(['bytes'])],
    ['an ArrayBuffer', new ArrayBuffer(1)],
    ['null', null],
    ['a number', 3],
  ])('refuses %s, which no type allows, and says what a source is', async (_, source) => {
    const refused = uploadFile(fixture.user(), source as unknown as Blob, { filename: 'a' });
    const message = expect.stringMatching(
      /^a source is .*: write a stream to a file, and wrap an ArrayBuffer/,
    );
    await expect(refused).rejects.toMatchObject({ reason: 'SOURCE_UNUSABLE', message });
  });

  it('throws the error of the service unchanged', async () => {
    const path = await fixture.file('x', 10);
    const refused = uploadFile(fixture.user(), path, { filename: 'a/b' });
    await expect(refused).rejects.toThrow(ConnectError);
    await expect(refused).rejects.toMatchObject({ code: Code.InvalidArgument });
  });

  it.each([
    ['a multipart upload', AS_MULTIPART],
    ['one PUT', {}],
  ])('refuses a file that changes between hashing and sending, with %s', async (_, options) => {
    const files = fixture.user();
    const path = await fixture.file('changing', BYTES);
    const onProgress = ({ phase }: Progress) => {
      if (phase === 'sending') void utimes(path, 1, 1).then(() => writeFile(path, Buffer.alloc(BYTES, 'x')));
    };
    expect(await failureOf(uploadFile(files, path, { ...options, onProgress }))).toMatchObject({
      reason: 'SOURCE_CHANGED',
    });
    expect((await files.listFiles({})).files).toEqual([]);
  });

  it.each([
    ['is written to', (path: string) => utimes(path, 1, 1)],
    ['shrinks', (path: string) => truncate(path, 10)],
  ])('sends no byte of a file that %s while it is hashed', async (_, change) => {
    const path = await fixture.file('changing', BYTES);
    const onProgress = ({ phase }: Progress) => {
      if (phase === 'hashing') void change(path);
    };
    const failure = await failureOf(uploadFile(fixture.user(), path, { ...AS_MULTIPART, onProgress }));
    expect(failure.reason).toBe('SOURCE_CHANGED');
    expect(fixture.proxy.taken).toEqual([]);
  });
});

describe('uploadFile retries', () => {
  it('when every second PUT fails, each in another way', async () => {
    const putFaults = [
      { status: 500, code: 'InternalError' },
      'reset',
      { status: 503, code: 'SlowDown' },
      'answer lost',
    ] as const;
    fixture.proxy.fault = (n) =>
      n % 2 === 1 ? (putFaults[((n - 1) / 2) % putFaults.length] ?? 'none') : 'none';
    const files = fixture.user();
    const path = await fixture.file('faults', BYTES);
    const { onProgress } = watch();
    const { file, bytesSent } = await uploadFile(files, path, {
      ...AS_MULTIPART,
      concurrency: 2,
      onProgress,
    });
    expect(bytesSent).toBe(BYTES);
    expect(sha256(await downloaded(files, file.s3Key))).toBe(sha256(await readFile(path)));
    fixture.proxy.fault = (n) =>
      n % 2 === 1 ? (putFaults[((n - 1) / 2) % putFaults.length] ?? 'none') : 'none';
    for (const name of ['a', 'b', 'c']) await uploadFile(files, await fixture.file(name, 100_000));
  });

  it('when the answer to a single PUT is lost', async () => {
    fixture.proxy.fault = (n) => (n === 1 ? 'answer lost' : 'none');
    const path = await fixture.file('lost', 50_000);
    expect(await uploadFile(fixture.user(), path)).toMatchObject({ existing: false, bytesSent: 50_000 });
    // The second CreatePresignedUpload returns EXISTING, so no byte is sent again.
    expect(fixture.proxy.taken).toEqual([0]);
  });

  it('when S3 refuses an expired URL, but not when S3 refuses a fresh URL too', async () => {
    fixture.proxy.fault = (n) => (n === 1 ? { status: 403, code: 'AccessDenied' } : 'none');
    await uploadFile(fixture.user(), await fixture.file('expired', BYTES), AS_MULTIPART);
    fixture.proxy.fault = () => ({ status: 403, code: 'AccessDenied' });
    const refused = await failureOf(uploadFile(fixture.user(), await fixture.file('forbidden', 1_000)));
    expect(refused).toMatchObject({ reason: 'STORAGE_REFUSED' });
    expect(refused.message).toContain('AccessDenied');
  });

  it('only for `retryForMs`', async () => {
    fixture.proxy.fault = () => ({ status: 503, code: 'SlowDown' });
    const path = await fixture.file('never', BYTES);
    expect(
      await failureOf(uploadFile(fixture.user(), path, { ...AS_MULTIPART, retryForMs: 300 })),
    ).toMatchObject({
      reason: 'STORAGE_UNREACHABLE',
    });
  });

  it.each(['none', 'refusal lost'] as const)('when S3 has lost the upload, fault: %s', async (fault) => {
    const { bucket } = fixture.service;
    const files = fixture.user();
    const path = await fixture.file(`lost ${fault}`, BYTES);
    let lost: Promise<unknown> | undefined;
    const lose = async () => {
      for (const upload of await bucket.uploads())
        if (upload.key.includes('lost')) await bucket.abort(upload);
    };
    fixture.proxy.delayMs = 300;
    fixture.proxy.fault = () => fault;
    const onProgress = ({ phase }: Progress) => {
      if (phase === 'sending') lost ??= lose();
    };
    const { file } = await uploadFile(files, path, { ...AS_MULTIPART, concurrency: 1, onProgress });
    await lost;
    // versitygw mostly closes the connection instead of answering.
    expect([404, 0]).toContain(fixture.proxy.refused[0]);
    expect(sha256(await downloaded(files, file.s3Key))).toBe(sha256(await readFile(path)));
  });

  it('when the service refuses connections for a while', async () => {
    await using proxy = await startFaultProxy({ port: fixture.service.app.httpPort });
    const files = createFileClient(`http://127.0.0.1:${proxy.port}`, { 'x-user-id': newUser() });
    let away: Promise<unknown> | undefined;
    const onProgress = ({ phase }: Progress) => {
      if (phase === 'sending')
        away ??= proxy
          .set({ kind: 'refused' })
          .then(() => sleep(700))
          .then(() => proxy.set({ kind: 'none' }));
    };
    const path = await fixture.file('away', BYTES);
    const { file } = await uploadFile(files, path, { ...AS_MULTIPART, onProgress });
    expect(away).toBeDefined();
    expect(file.state).toBe(FileState.READY);
  });
});

describe('two concurrent uploads', () => {
  it('of the same content create one file', async () => {
    const files = fixture.user();
    const path = await fixture.file('same', BYTES);
    const both = await Promise.all([
      uploadFile(files, path, AS_MULTIPART),
      uploadFile(files, path, AS_MULTIPART),
    ]);
    expect(both[0].file.s3Key).toBe(both[1].file.s3Key);
    expect((await files.listFiles({})).files).toHaveLength(1);
  });
});

describe('an aborted upload', () => {
  it('ends at once with the reason, leaves nothing open, and can be resumed', async () => {
    const files = fixture.user();
    const path = await fixture.file('aborted', BYTES);
    await uploadFile(files, await fixture.file('warm', 1_000));
    // The connections of earlier uploads close on a busy machine after more than a second.
    await expect.poll(() => fixture.proxy.connections, { timeout: 10_000 }).toBe(0);
    fixture.proxy.delayMs = 20;
    for (let i = 0; i < 8; i++) {
      const abort = new AbortController();
      const reason = new Error('enough');
      setTimeout(() => abort.abort(reason), Math.random() * 400);
      const ended = await uploadFile(files, path, { ...AS_MULTIPART, signal: abort.signal }).catch(
        (e: unknown) => e,
      );
      if (ended === reason) {
        await expect.poll(() => fixture.proxy.connections).toBe(0);
      } else {
        expect(ended).toMatchObject({ file: { state: FileState.READY } });
      }
    }
    expect(process.getActiveResourcesInfo()).not.toContain('MessagePort');
    expect(openFiles([path])).toEqual([]);
    expect((await uploadFile(files, path, AS_MULTIPART)).file.state).toBe(FileState.READY);
  });

  it('makes no call when the signal is aborted before the start', async () => {
    const path = await fixture.file('before', 10);
    await expect(uploadFile(fixture.user(), path, { signal: AbortSignal.abort('no') })).rejects.toBe('no');
  });
});
