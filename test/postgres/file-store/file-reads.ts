import { describe, expect, it } from 'vitest';
import type { ReadyFile } from '../../../src/files/file.ts';
import { intent, LIMITS, PAST, type StoreFixture } from './fixture.ts';

/** Tests the port `FileReads` (src/files/ports/file-reads.ts). */
export function fileReadsContract({ store, opened, pending, ready, lost, deleted }: StoreFixture): void {
  describe('find', () => {
    it('returns a PENDING file, a READY file, and whether it is fresh', async () => {
      const waiting = await pending('x.pdf');
      expect(await store.find(waiting)).toEqual(waiting);
      const file = await ready('x.pdf');
      expect(await store.find(file)).toEqual(file);
      await opened.shiftTime(LIMITS.verificationTtlSeconds - 5);
      expect(await store.find(file)).toMatchObject({ isFresh: true });
      await opened.shiftTime(10);
      expect(await store.find(file)).toMatchObject({ isFresh: false });
    });

    it('returns undefined for a deleted file and for an unknown key', async () => {
      expect(await store.find(await deleted('x.pdf'))).toBeUndefined();
      expect(await store.find({ userId: 'ada', s3Key: 'none' })).toBeUndefined();
    });

    it('compares users and keys by their bytes', async () => {
      await pending('x.pdf', { s3Key: 'Key' });
      for (const s3Key of ['key', 'Key ', 'Ke', 'Key_']) {
        expect(await store.find({ userId: 'ada', s3Key })).toBeUndefined();
      }
      expect(await store.find({ userId: 'Ada', s3Key: 'Key' })).toBeUndefined();
    });
  });

  describe('list', () => {
    const all = { userId: 'ada', filenamePrefix: '', after: undefined, limit: 100 };

    async function pages(limit: number, between: (page: number) => Promise<unknown> = async () => undefined) {
      const listed: string[][] = [];
      for (let after: ReadyFile | undefined; ; ) {
        const { ready } = await store.list({ ...all, after, limit }, 0);
        if (ready.length === 0) return listed;
        listed.push(ready.map(({ s3Key }) => s3Key));
        after = ready.at(-1);
        await between(listed.length);
      }
    }

    const at = (ms: number) => new Date(PAST.getTime() + ms);

    it('orders files by S3’s time and then by the bytes of the key, newest first', async () => {
      await ready('b', { lastModified: at(0) });
      await ready('a', { lastModified: at(1) });
      await ready('B', { lastModified: at(0) });
      await ready('é', { lastModified: at(0) });
      await ready('c', { lastModified: at(-1) });
      expect(await pages(100)).toEqual([['ada_a', 'ada_é', 'ada_b', 'ada_B', 'ada_c']]);
    });

    it('returns READY files with all fields', async () => {
      const file = await ready('x.pdf');
      await pending('y.pdf');
      expect(await store.list(all, 0)).toEqual({ ready: [file], pending: [], examinedTo: undefined });
    });

    it('pages return each file once, also files of the same millisecond', async () => {
      // Created in an order that is neither the order of times nor of keys.
      for (const i of [7, 2, 11, 0, 5, 9, 3, 1, 8, 4, 10, 6]) {
        await ready(`${i}`, { lastModified: at(Math.floor(i / 5)) });
      }
      const [whole = []] = await pages(100);
      expect(whole).toHaveLength(12);
      for (const limit of [1, 2, 3, 5, 11, 12]) {
        const listed = await pages(limit);
        expect(listed.flat()).toEqual(whole);
        expect(listed.slice(0, -1).every((page) => page.length === limit)).toBe(true);
      }
    });

    it('pages stay consistent while files are added and deleted between them', async () => {
      for (let i = 0; i < 10; i++) await ready(`${i}`, { lastModified: at(i) });
      const listed = await pages(2, async (page) => {
        await ready(`newer ${page}`, { lastModified: at(100 + page) });
        // Deletes the file after which the next page begins.
        await store.markDeleted({ userId: 'ada', s3Key: `ada_${10 - 2 * page}` });
      });
      expect(listed.flat()).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1, 0].map((i) => `ada_${i}`));
    });

    it('starts after any position, also one that no file has', async () => {
      for (let i = 0; i < 4; i++) await ready(`${i}`, { lastModified: at(i) });
      const listAfter = async (lastModified: Date, s3Key: string) =>
        (await store.list({ ...all, after: { lastModified, s3Key } }, 0)).ready.map(
          ({ filename }) => filename,
        );
      expect(await listAfter(at(2), '')).toEqual(['1', '0']);
      expect(await listAfter(at(2), 'zzz')).toEqual(['2', '1', '0']);
      expect(await listAfter(at(-1), 'zzz')).toEqual([]);
      expect(await listAfter(new Date(8.64e15), 'zzz')).toEqual(['3', '2', '1', '0']);
    });

    it('returns no deleted file, no lost file and no file of another user', async () => {
      await store.markDeleted(await ready('x.pdf'));
      await lost('y.pdf');
      await ready('z.pdf', { userId: 'bob' });
      expect((await store.list(all, 0)).ready).toEqual([]);
    });

    it('compares the prefix literally, for READY and for pending files', async () => {
      const names = ['a%b', 'a_b', 'aXb', 'a\\b', 'A', 'ä', 'a'];
      for (const [i, filename] of names.entries()) {
        await ready(filename, { s3Key: `ada_${i}`, lastModified: at(names.length - i) });
        await pending(`${filename}?`, { s3Key: `ada_p${i}` });
      }
      const matching = async (filenamePrefix: string) => {
        const { ready, pending } = await store.list({ ...all, filenamePrefix }, 100);
        const next = await store.list(
          { ...all, filenamePrefix, after: { lastModified: at(99), s3Key: '' } },
          0,
        );
        expect(next.ready).toEqual(ready);
        const waiting = pending.map(({ filename }) => filename.slice(0, -1));
        expect(waiting.sort()).toEqual(ready.map(({ filename }) => filename).sort());
        return ready.map(({ filename }) => filename);
      };
      expect(await matching('a%')).toEqual(['a%b']);
      expect(await matching('a_')).toEqual(['a_b']);
      expect(await matching('a\\')).toEqual(['a\\b']);
      expect(await matching('a')).toEqual(['a%b', 'a_b', 'aXb', 'a\\b', 'a']);
      expect(await matching('ä')).toEqual(['ä']);
      expect(await matching('')).toEqual(names);
      expect(await matching('x')).toEqual([]);
    });

    it('pages within a prefix', async () => {
      for (let i = 0; i < 9; i++) await ready(`${i % 2 ? 'odd' : 'even'} ${i}`, { lastModified: at(i) });
      const query = { ...all, filenamePrefix: 'even', limit: 2 };
      const first = await store.list(query, 0);
      const second = await store.list({ ...query, after: first.ready.at(-1) }, 0);
      expect([...first.ready, ...second.ready].map(({ filename }) => filename)).toEqual([
        'even 8',
        'even 6',
        'even 4',
        'even 2',
      ]);
    });

    describe('with a prefix', () => {
      const EXAMINED = LIMITS.examinedMax ?? 0;
      const rare = { ...all, filenamePrefix: 'rare' };

      it('examines at most examinedMax files per page, and further pages find the rest', async () => {
        for (let i = 0; i < 3 * EXAMINED + 2; i++) await ready(`common ${i}`, { lastModified: at(100 - i) });
        await ready('rare 1', { lastModified: at(100 - EXAMINED) });
        await ready('rare 2', { lastModified: at(0) });
        const found: string[][] = [];
        let after: { lastModified: Date; s3Key: string } | undefined;
        do {
          const page = await store.list({ ...rare, after }, 0);
          found.push(page.ready.map(({ filename }) => filename));
          after = page.examinedTo;
        } while (after !== undefined);
        expect(found).toEqual([[], ['rare 1'], [], ['rare 2']]);
      });

      it('returns examinedTo only if it stopped before the end and the page is not full', async () => {
        for (let i = 0; i < EXAMINED - 1; i++) await ready(`common ${i}`, { lastModified: at(-i) });
        expect(await store.list(rare, 0)).toEqual({ ready: [], pending: [], examinedTo: undefined });
        const last = await ready('rare', { lastModified: at(-EXAMINED) });
        const { lastModified, s3Key } = last;
        expect(await store.list(rare, 0)).toMatchObject({
          ready: [last],
          examinedTo: { lastModified, s3Key },
        });
        const { ready: rest, examinedTo } = await store.list({ ...rare, after: last }, 0);
        expect({ rest, examinedTo }).toEqual({ rest: [], examinedTo: undefined });
        const full = await store.list({ ...all, filenamePrefix: 'common', limit: 3 }, 0);
        expect(full.ready).toHaveLength(3);
        expect(full.examinedTo).toBeUndefined();
      });

      it('counts neither pending files nor files of others as examined', async () => {
        for (let i = 0; i < EXAMINED; i++) await ready(`theirs ${i}`, { userId: 'bob' });
        for (let i = 0; i < 5; i++) await pending(`waiting ${i}`);
        await ready('rare');
        const listed = await store.list(rare, 100);
        expect(listed).toMatchObject({ ready: [{ filename: 'rare' }], pending: [], examinedTo: undefined });
      });
    });

    it('returns the newest PENDING files up to pendingLimit, on the first page only', async () => {
      await ready('there');
      await pending('theirs', { userId: 'bob' });
      for (let i = 0; i < 4; i++) {
        await pending(`${i}`);
        await opened.shiftTime(1);
      }
      await deleted('gone');
      const { ready: there, pending: waiting } = await store.list({ ...all, limit: 1 }, 3);
      expect(there).toHaveLength(1);
      expect(waiting.map(({ filename }) => filename)).toEqual(['3', '2', '1']);
      expect(waiting[0]).toEqual(await store.find(intent('3')));
      expect((await store.list(all, 0)).pending).toEqual([]);
      const after = { lastModified: at(99), s3Key: '' };
      expect((await store.list({ ...all, after }, 3)).pending).toEqual([]);
    });
  });
}
