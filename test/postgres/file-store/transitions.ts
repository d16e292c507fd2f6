import { describe, expect, it } from 'vitest';
import type { ReadyFile } from '../../../src/files/file.ts';
import type { Ref } from '../../harness/deadline.ts';
import {
  about,
  DAY,
  FIRST_PAUSE,
  intent,
  LARGEST,
  LIMITS,
  PURGEABLE_AFTER,
  type StoreFixture,
  seen,
} from './fixture.ts';

/** Tests the port `Transitions` (src/files/ports/transitions.ts). */
export function transitionsContract({
  store,
  opened,
  row,
  everything,
  pending,
  ready,
  stale,
  lost,
  deleted,
}: StoreFixture): void {
  describe('markReady', () => {
    it('makes a PENDING file READY with the size, type and time from S3', async () => {
      const waiting = await pending('x.pdf');
      const { lastModified, etag, size, mimeType } = seen({ size: LARGEST });
      const { lost: _, ...facts } = waiting;
      const file = await store.markReady(waiting, seen({ size: LARGEST }));
      const expected = { ...facts, state: 'ready', lastModified, etag, size, mimeType, isFresh: true };
      expect(file).toEqual({ ...expected, verifiedAt: expect.any(Date) });
      expect(await store.find(waiting)).toEqual(file);
      expect(await row(waiting)).toMatchObject({ due: null, pending_slot: null });
    });

    it('makes a stale READY file fresh and keeps its time', async () => {
      const before = await stale('x.pdf');
      expect(before.isFresh).toBe(false);
      const later = seen({ lastModified: new Date(), size: 8, etag: 'another', mimeType: 'b/c' });
      const file = await store.markReady(before, later);
      expect(file).toEqual({
        ...before,
        size: 8,
        etag: 'another',
        mimeType: 'b/c',
        isFresh: true,
        verifiedAt: expect.any(Date),
      });
      expect(file?.verifiedAt.getTime()).toBeGreaterThan(before.verifiedAt.getTime());
      expect(await store.find(before)).toEqual(file);
    });

    it('makes a lost file READY with S3’s new time', async () => {
      const before = await lost('x.pdf');
      const lastModified = new Date('2025-01-01T00:00:00Z');
      expect(await store.markReady(before, seen({ lastModified }))).toMatchObject({ lastModified });
      await opened.shiftTime(LIMITS.verificationTtlSeconds + 1);
      await store.markLost((await store.find(before)) as ReadyFile);
      expect(await store.find(before)).toMatchObject({ state: 'pending', lost: true });
    });

    it('returns undefined for a deleted or unknown file and changes nothing', async () => {
      const file = await deleted('x.pdf');
      const before = await everything();
      expect(await store.markReady(file, seen())).toBeUndefined();
      expect(await store.markReady({ userId: 'ada', s3Key: 'none' }, seen())).toBeUndefined();
      expect(await everything()).toEqual(before);
    });

    it('a concurrent markReady and markDeleted leave the file deleted in either order', async () => {
      for (let i = 0; i < 20; i++) {
        const file = await pending(`${i}`);
        await Promise.all([store.markReady(file, seen()), store.markDeleted(file)]);
        expect(await row(file)).toMatchObject({ state: 'deleted', due: about(FIRST_PAUSE) });
      }
    });
  });

  describe('markReadyMany', () => {
    it('does what markReady does, and leaves out files that are deleted or unknown', async () => {
      const later = seen({
        lastModified: new Date('2025-01-01'),
        etag: `"\\{a,b} 文件`,
        mimeType: 'b/c',
        size: 8,
      });
      const filesOf = async (userId: string) => [
        await pending('pending', { userId }),
        await stale('stale', { userId }),
        await lost('lost', { userId }),
        await deleted('deleted', { userId }),
      ];
      const [adas, bobs] = [await filesOf('ada'), await filesOf('bob')];
      const keys = [...adas.map(({ s3Key }) => s3Key), 'none'];
      const many = await store.markReadyMany('ada', Object.fromEntries(keys.map((key) => [key, later])));
      const byKey = new Map<string, ReadyFile>(many.map((file) => [file.s3Key, file]));
      for (const [index, { s3Key }] of adas.entries()) {
        const one = await store.markReady(bobs[index] as Ref, later);
        const times = { createTime: expect.any(Date), verifiedAt: expect.any(Date) };
        expect(byKey.get(s3Key)).toEqual(one && { ...one, ...times, userId: 'ada', s3Key });
      }
      expect(many).toHaveLength(3);
      const rowsOf = async (files: Ref[]) =>
        (await Promise.all(files.map(row))).map(
          (one) => one && { ...one, due: one.due && Math.round(one.due), url_end: 0 },
        );
      expect(await rowsOf(adas.slice(0, 3))).toEqual(await rowsOf(bobs.slice(0, 3)));
    });

    it('leaves out a row that another session has locked, without waiting, and marks the others', async () => {
      const files = [await pending('1'), await pending('2'), await pending('3')];
      const other = await opened.pool.connect();
      try {
        await other.query('begin');
        await other.query('select from files where s3_key = $1 for update', [files[1]?.s3Key]);
        const marked = await store.markReadyMany(
          'ada',
          Object.fromEntries(files.map((file) => [file.s3Key, seen()])),
        );
        expect(marked.map(({ filename }) => filename).sort()).toEqual(['1', '3']);
      } finally {
        await other.query('rollback');
        other.release();
      }
      expect(await store.find(files[1] as Ref)).toMatchObject({ state: 'pending' });
    });

    it('concurrent markReadyMany, markDeleted and markReady leave each file READY or deleted', async () => {
      for (let i = 0; i < 10; i++) {
        const files = [await pending(`${i} 1`), await pending(`${i} 2`), await pending(`${i} 3`)] as const;
        const many = (of: readonly Ref[]) =>
          store.markReadyMany('ada', Object.fromEntries(of.map(({ s3Key }) => [s3Key, seen()])));
        await Promise.all([
          many(files),
          many([...files].reverse()),
          store.markDeleted(files[0]),
          store.markReady(files[2], seen()),
        ]);
        expect(await row(files[0])).toMatchObject({ state: 'deleted' });
        expect(await row(files[2])).toMatchObject({ state: 'ready' });
      }
    });
  });

  describe('markLost', () => {
    it('makes a READY file PENDING and lost under its key until it is purgeable', async () => {
      const before = await stale('x.pdf');
      await store.markLost(before);
      const { isFresh: _, verifiedAt: __, lastModified: ___, etag: ____, ...facts } = before;
      expect(await store.find(before)).toEqual({ ...facts, state: 'pending', lost: true });
      expect(await row(before)).toMatchObject({ due: about(FIRST_PAUSE), sweep_attempts: 0 });
      expect(await store.purge(before)).toBe(false);
      await opened.shiftTime(PURGEABLE_AFTER);
      expect(await store.purge(before)).toBe(true);
    });

    it('keeps an old file for longestUploadSeconds from now', async () => {
      await ready('x.pdf');
      await opened.shiftTime(300 * DAY);
      const file = (await store.find(intent('x.pdf'))) as ReadyFile;
      await store.markLost(file);
      await opened.shiftTime(LIMITS.longestUploadSeconds - 10);
      expect(await store.purge(file)).toBe(false);
      await opened.shiftTime(20);
      expect(await store.purge(file)).toBe(true);
    });

    it('changes nothing after a later verification has found the object', async () => {
      const before = await stale('x.pdf');
      const found = await store.markReady(before, seen());
      await store.markLost(before);
      expect(await store.find(before)).toEqual(found);
      // The later verification becomes stale by waiting, but it is still later than the verification of `before`.
      await opened.pool.query('select pg_sleep(0.01)');
      await store.markLost(before);
      expect(await store.find(before)).toEqual(found);
    });

    it('changes no file that is PENDING or deleted', async () => {
      const file = await stale('x.pdf');
      await store.markLost(file);
      await store.updateIntent(intent('x.pdf'));
      const waiting = await everything();
      await store.markLost(file);
      expect(await everything()).toEqual(waiting);
      await store.markDeleted(file);
      const gone = await everything();
      await store.markLost(file);
      expect(await everything()).toEqual(gone);
    });
  });

  describe('markDeleted', () => {
    it.each([
      ['PENDING', pending],
      ['READY', ready],
      ['lost', lost],
    ])('hides a %s file from its user at once, and a second call returns undefined', async (_, make) => {
      const file = await make('x.pdf', {});
      const { userId, s3Key } = file;
      expect(await store.markDeleted(file)).toEqual({ userId, s3Key, isMultipart: false });
      expect(await store.find(file)).toBeUndefined();
      const listed = await store.list({ userId: 'ada', filenamePrefix: '', after: undefined, limit: 9 }, 9);
      expect(listed).toMatchObject({ ready: [], pending: [] });
      expect(await row(file)).toMatchObject({
        state: 'deleted',
        due: about(FIRST_PAUSE),
        sweep_attempts: 0,
      });
      const before = await everything();
      expect(await store.markDeleted(file)).toBeUndefined();
      expect(await everything()).toEqual(before);
    });

    it('returns undefined for an unknown file', async () => {
      expect(await store.markDeleted({ userId: 'ada', s3Key: 'none' })).toBeUndefined();
    });

    it('succeeds for one of ten concurrent calls', async () => {
      const file = await ready('x.pdf');
      const answers = await Promise.all(Array.from({ length: 10 }, () => store.markDeleted(file)));
      expect(answers.filter(Boolean)).toHaveLength(1);
    });

    it('leaves a tombstone that keeps the key until it is purgeable', async () => {
      const file = await ready('x.pdf');
      await store.markDeleted(file);
      await opened.shiftTime(PURGEABLE_AFTER - 10);
      expect(await store.purge(file)).toBe(false);
      expect(await store.reserve(intent('x.pdf'))).toEqual({ refused: 'key taken' });
      await opened.shiftTime(20);
      expect(await store.purge(file)).toBe(true);
      expect(await store.reserve(intent('x.pdf'))).toMatchObject({ created: true });
    });
  });
}
