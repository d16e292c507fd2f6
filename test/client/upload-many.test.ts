import { readFile } from 'node:fs/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import { FileState } from '../../gen/files/v1/file_pb.ts';
import { type UploadItem, uploadMany } from '../../src/client/node.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { downloaded, openFixture, PART_BYTES, sha256 } from './fixture.ts';
import { failuresOf, itemsOf, watchMany } from './many-fixture.ts';

const fixture = forAllTests(() => openFixture());
beforeEach(() => {
  fixture.proxy.fault = () => 'none';
  fixture.proxy.delayMs = 0;
  fixture.proxy.taken.length = 0;
  fixture.proxy.refused.length = 0;
});

describe('uploadMany', () => {
  it.each(['gRPC', 'Connect'] as const)(
    'stores small, larger, empty and multipart files over %s, and sends none of them again',
    async (protocol) => {
      const files = fixture.user(protocol);
      const sizes = [0, 1, 20_000, 300_000, 1_500_000, 2 * PART_BYTES + 1];
      const items = await itemsOf(fixture, `mixed-${protocol}`, sizes);
      const { outcomes, progress, options } = watchMany<UploadItem>();
      const run = () => uploadMany(files, items, { ...options, multipartFromBytes: PART_BYTES });
      const bytes = sizes.reduce((sum, size) => sum + size);

      expect(await run()).toMatchObject({
        uploaded: 6,
        existing: 0,
        failed: 0,
        bytesTotal: bytes,
        bytesSent: bytes,
      });
      expect(failuresOf(outcomes)).toEqual([]);
      expect(new Set(outcomes.map(({ item }) => item))).toEqual(new Set(items));
      expect(progress.at(-1)).toEqual({
        filesTotal: 6,
        filesDone: 6,
        filesFailed: 0,
        bytesTotal: bytes,
        bytesHashed: bytes,
        bytesSent: bytes,
      });
      for (const outcome of outcomes) {
        if ('error' in outcome) throw outcome.error;
        const { file, existing } = outcome.result;
        expect(existing).toBe(false);
        expect(file.state).toBe(FileState.READY);
        const stored = await downloaded(files, file.s3Key);
        expect(sha256(stored)).toBe(sha256(await readFile(String(outcome.item.source))));
      }

      const puts = fixture.proxy.taken.length;
      progress.length = 0;
      expect(await run()).toMatchObject({ uploaded: 0, existing: 6, failed: 0, bytesSent: 0 });
      expect(fixture.proxy.taken).toHaveLength(puts);
    },
  );

  it('uploads no file of an empty list', async () => {
    expect(await uploadMany(fixture.user(), [])).toMatchObject({ uploaded: 0, failed: 0, bytesTotal: 0 });
  });

  it('gives names and types, and takes bytes and Blobs', async () => {
    const items = [
      { source: new TextEncoder().encode('one'), filename: 'one.txt', mimeType: 'text/plain' },
      { source: new File(['two'], 'two.txt', { type: 'text/css' }) },
    ];
    const { outcomes, options } = watchMany<UploadItem>();
    await uploadMany(fixture.user(), items, options);
    const names = outcomes.map((outcome) =>
      'result' in outcome ? [outcome.result.file.filename, outcome.result.file.mimeType] : outcome.error,
    );
    expect(names.sort()).toEqual([
      ['one.txt', 'text/plain'],
      ['two.txt', 'text/css'],
    ]);
  });

  it('sends the same content once', async () => {
    const files = fixture.user();
    const source = await fixture.file('twice', 30_000);
    const items = Array.from({ length: 20 }, (_, i) => ({ source, filename: `copy-${i}` }));
    expect(await uploadMany(files, items)).toMatchObject({ uploaded: 1, existing: 19, bytesSent: 30_000 });
    expect(fixture.proxy.taken).toEqual([0]);
    expect((await files.listFiles({})).files).toHaveLength(1);
  });

  it('reports the error of one file as the outcome of this file', async () => {
    const good = await itemsOf(fixture, 'good', [10, 20]);
    const bad = [{ source: '/nowhere' }, { source: fixture.directory }, { source: new Uint8Array(1) }];
    const named = { source: new Uint8Array(2), filename: 'a/b' };
    const { outcomes, progress, options } = watchMany<UploadItem>();
    const summary = await uploadMany(fixture.user(), [...bad, ...good, named], options);
    expect(summary).toMatchObject({ uploaded: 2, failed: 4 });
    expect(progress.at(-1)).toMatchObject({ filesTotal: 6, filesDone: 2, filesFailed: 4 });
    const errors = new Map(failuresOf(outcomes).map(({ item, error }) => [item, error]));
    expect(errors.get(bad[0] as UploadItem)).toMatchObject({ code: 'ENOENT' });
    expect(errors.get(bad[1] as UploadItem)).toMatchObject({ reason: 'SOURCE_UNUSABLE' });
    expect(errors.get(bad[2] as UploadItem)).toMatchObject({ reason: 'SOURCE_UNUSABLE' });
    expect(String(errors.get(named))).toContain('filename');
  });

  it('stores 3,000 files of an async iterable, with a pending upload for few of them at any time', async () => {
    const files = fixture.user();
    let pendingMax = 0;
    const count = 3_000;
    async function* items() {
      for (let i = 0; i < count; i++)
        yield { source: Buffer.from(`file ${i} ${Math.random()}`), filename: `${i}` };
    }
    const watching = setInterval(async () => {
      const { rows } = await fixture.service.pool.query<{ count: string }>(
        `select count(*) from files where state = 'pending'`,
      );
      pendingMax = Math.max(pendingMax, Number(rows[0]?.count));
    }, 50);
    const { outcomes, options } = watchMany<UploadItem>();
    const summary = await uploadMany(files, items(), options).finally(() => clearInterval(watching));
    expect(failuresOf(outcomes)).toEqual([]);
    expect(summary).toMatchObject({ uploaded: count, failed: 0 });
    expect(new Set(outcomes.map(({ item }) => item.filename)).size).toBe(count);
    expect(pendingMax).toBeGreaterThan(0);
    expect(pendingMax).toBeLessThanOrEqual(512);
    let listed = 0;
    for (let pageToken = ''; ; ) {
      const page = await files.listFiles({ pageSize: 1_000, pageToken });
      listed += page.files.length;
      pageToken = page.nextPageToken;
      if (pageToken === '') break;
    }
    expect(listed).toBe(count);
  }, 180_000);
});
