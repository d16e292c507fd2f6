import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { PendingFile } from '../../src/files/file.ts';
import type { Reservation } from '../../src/files/ports/reservations.ts';
import { multipartFingerprint } from '../../src/files/rules/fingerprint.ts';
import type { StoreLimits } from '../../src/postgres/store-limits.ts';
import type { OwnedIntent, PatientStore, Ref } from '../harness/deadline.ts';
import { STORE_LIMITS } from '../harness/store-limits.ts';
import type { OpenStore } from './open-store.ts';

const DAY = 86_400;

const LIMITS: StoreLimits = { ...STORE_LIMITS, pendingMax: 20, pendingMultipartMax: 5 };

/** A multipart upload is purgeable this many seconds after the last request for it. */
const PURGEABLE_AFTER = LIMITS.multipartSeconds + LIMITS.longestUploadSeconds;

function intent(filename: string, parts = 3, userId = 'ada'): OwnedIntent {
  const md5s = Array.from({ length: parts }, (_, i) => createHash('md5').update(`${filename} ${i}`).digest());
  return {
    userId,
    s3Key: `${userId}_${filename}`,
    filename,
    mimeType: 'video/mp4',
    fingerprint: multipartFingerprint(md5s),
    size: parts * 10 - 1,
    parts: { partSize: 10, md5s: Buffer.concat(md5s) },
  };
}

const seen = ({ fingerprint, size = 0 }: OwnedIntent) => ({
  size,
  etag: fingerprint,
  fingerprint,
  mimeType: 'video/mp4',
  contentEncoding: '',
  lastModified: new Date(),
});

/** Tests what the port `FileStore` promises about multipart uploads. */
export function multipartContract(name: string, open: (limits: StoreLimits) => Promise<OpenStore>): void {
  describe(`${name}, multipart uploads`, () => {
    let opened: OpenStore;
    let store: PatientStore;
    beforeAll(async () => {
      opened = await open(LIMITS);
      store = opened.store;
    });
    afterAll(() => opened.close());
    beforeEach(async () => {
      await opened.pool.query('delete from files');
    });

    async function pending(asked: OwnedIntent): Promise<PendingFile> {
      const made = await store.reserve(asked);
      if (made.refused !== undefined || made.file.state !== 'pending') throw new Error('not PENDING');
      return made.file;
    }

    async function urlEnd({ userId, s3Key }: Ref): Promise<number> {
      const { rows } = await opened.pool.query<{ end: number }>(
        'select extract(epoch from url_expire_at - now())::float8 as end from files where user_id = $1 and s3_key = $2',
        [userId, s3Key],
      );
      return rows[0]?.end ?? Number.NaN;
    }

    it.each([1, 3, 10_000])('stores the announced size and MD5s of %d parts, and the UploadId', async (n) => {
      const asked = intent('film.mp4', n);
      const file = await pending(asked);
      expect(file.fingerprint).toBe(asked.fingerprint);
      const parts = { ...asked.parts, size: asked.size, count: n };
      expect(await store.findUpload(file)).toEqual({ file, parts, uploadId: undefined });
      expect(await store.setUploadId(file, 'upload 1', undefined)).toBe(true);
      expect(await store.findUpload(file)).toEqual({ file, parts, uploadId: 'upload 1' });
    });

    it('a repeated reserve returns the same file and keeps the UploadId', async () => {
      const asked = intent('film.mp4');
      const file = await pending(asked);
      await store.setUploadId(file, 'upload 1', undefined);
      const again = await store.reserve({ ...asked, s3Key: 'ada_other.mp4', filename: 'other.mp4' });
      expect(again).toMatchObject({ created: false, file: { s3Key: file.s3Key } });
      expect(await store.findUpload(file)).toMatchObject({ uploadId: 'upload 1' });
    });

    it('lives for a week after the last reserve or renewUpload', async () => {
      const asked = intent('film.mp4');
      const file = await pending(asked);
      expect(await urlEnd(file)).toBeCloseTo(LIMITS.multipartSeconds, -1);
      await opened.shiftTime(3 * DAY);
      await store.findUpload(file);
      expect(await urlEnd(file)).toBeCloseTo(4 * DAY, -1);
      expect(await store.renewUpload(file)).toEqual(await store.findUpload(file));
      expect(await urlEnd(file)).toBeCloseTo(7 * DAY, -1);
      await opened.shiftTime(3 * DAY);
      await store.reserve(asked);
      expect(await urlEnd(file)).toBeCloseTo(7 * DAY, -1);
    });

    it('of ten concurrent calls of setUploadId, one succeeds', async () => {
      const file = await pending(intent('film.mp4'));
      const ids = Array.from({ length: 10 }, (_, i) => `upload ${i}`);
      const bound = await Promise.all(ids.map((id) => store.setUploadId(file, id, undefined)));
      expect(bound.filter(Boolean)).toHaveLength(1);
      expect((await store.findUpload(file))?.uploadId).toBe(ids[bound.indexOf(true)]);
    });

    it('setUploadId succeeds if the same id is already stored', async () => {
      const file = await pending(intent('film.mp4'));
      expect(await store.setUploadId(file, 'upload 1', undefined)).toBe(true);
      expect(await store.setUploadId(file, 'upload 1', undefined)).toBe(true);
      expect(await store.setUploadId(file, 'upload 1', 'upload 0')).toBe(true);
      expect((await store.findUpload(file))?.uploadId).toBe('upload 1');
    });

    it('setUploadId replaces an id only if the caller knows the stored id', async () => {
      const file = await pending(intent('film.mp4'));
      await store.setUploadId(file, 'upload 1', undefined);
      expect(await store.setUploadId(file, 'upload 2', undefined)).toBe(false);
      expect(await store.setUploadId(file, 'upload 2', 'upload 0')).toBe(false);
      expect(await store.setUploadId(file, 'upload 2', 'upload 1')).toBe(true);
      expect((await store.findUpload(file))?.uploadId).toBe('upload 2');
    });

    it('a file that is READY, deleted or of a single PUT has no multipart upload', async () => {
      const asked = { ready: intent('a.mp4'), deleted: intent('b.mp4') };
      const ready = await pending(asked.ready);
      await store.markReady(ready, seen(asked.ready));
      const deleted = await pending(asked.deleted);
      expect(await store.markDeleted(deleted)).toEqual({
        userId: 'ada',
        s3Key: deleted.s3Key,
        isMultipart: true,
      });
      const { parts: _, ...single } = intent('c.mp4');
      const put = await pending(single);
      for (const file of [ready, deleted, put]) {
        expect(await store.findUpload(file)).toBeUndefined();
        expect(await store.renewUpload(file)).toBeUndefined();
        expect(await store.setUploadId(file, 'upload 1', undefined)).toBe(false);
      }
      expect(await store.find(ready)).toMatchObject({ state: 'ready', fingerprint: asked.ready.fingerprint });
    });

    it('comes due a minute after it became READY, and never again after clearSweep', async () => {
      const asked = intent('film.mp4');
      const file = await pending(asked);
      await store.markReady(file, seen(asked));
      await opened.shiftTime(59);
      expect(await store.leaseDue(10, 60)).toEqual([]);
      await opened.shiftTime(2);
      // A further verification does not replace the sweep: the row is still due.
      const ready = await store.markReady(file, seen(asked));
      expect(await store.leaseDue(10, 60)).toEqual([{ state: 'ready', file: { ...ready, isFresh: false } }]);
      await store.reschedule(file);
      await opened.shiftTime(3 * DAY);
      expect(await store.leaseDue(10, 60)).toHaveLength(1);
      await store.clearSweep(file);
      await opened.shiftTime(30 * DAY);
      expect(await store.leaseDue(10, 60)).toEqual([]);
      expect(await store.find(file)).toMatchObject({ state: 'ready' });
    });

    it('a READY file that is still due is not treated as pending', async () => {
      const asked = intent('film.mp4');
      const file = await pending(asked);
      const ready = await store.markReady(file, seen(asked));
      await store.updateIntent({ ...asked, filename: 'other.mp4' });
      const page = { userId: 'ada', filenamePrefix: '', after: undefined, limit: 9 };
      expect(await store.list(page, 9)).toMatchObject({ ready: [ready], pending: [] });
      expect(await store.reserve(asked)).toEqual({ created: false, file: ready });
      expect(await store.expireUpload(file)).toBeUndefined();
    });

    it('clearSweep changes no file that is not READY', async () => {
      const file = await pending(intent('film.mp4'));
      await store.clearSweep(file);
      await opened.shiftTime(60);
      expect(await store.leaseDue(10, 60)).toHaveLength(1);
    });

    it('expires only when it is purgeable, and keeps its key for one more day', async () => {
      const asked = intent('film.mp4');
      const file = await pending(asked);
      await store.setUploadId(file, 'upload 1', undefined);
      await opened.shiftTime(PURGEABLE_AFTER - 60);
      expect(await store.expireUpload(file)).toBeUndefined();
      await opened.shiftTime(120);
      expect(await store.expireUpload(file)).toEqual({ userId: 'ada', s3Key: file.s3Key, isMultipart: true });
      expect(await store.expireUpload(file)).toBeUndefined();
      expect(await store.findUpload(file)).toBeUndefined();
      expect(await store.reserve(asked)).toEqual({ refused: 'key taken' });
      await opened.shiftTime(DAY + 1);
      expect(await store.purge(file)).toBe(true);
    });

    it('does not expire after a repeated reserve or renewUpload', async () => {
      for (const ask of ['reserve', 'renew'] as const) {
        const asked = intent(`${ask}.mp4`);
        const file = await pending(asked);
        await opened.shiftTime(PURGEABLE_AFTER + 60);
        if (ask === 'reserve') await store.reserve(asked);
        else await store.renewUpload(file);
        expect(await store.expireUpload(file)).toBeUndefined();
      }
    });

    it('a lost file gets its part data back at the next reserve', async () => {
      const asked = intent('film.mp4');
      const file = await pending(asked);
      await store.setUploadId(file, 'upload 1', undefined);
      const ready = await store.markReady(file, seen(asked));
      if (ready === undefined) throw new Error('not READY');
      await store.markLost(ready);
      expect(await store.findUpload(file)).toBeUndefined();
      await store.reserve(asked);
      expect(await store.findUpload(file)).toMatchObject({
        parts: { md5s: asked.parts?.md5s },
        uploadId: undefined,
      });
    });

    /** A deleted file is purgeable this many seconds after a URL was signed at the delete. */
    const URLS_PURGEABLE_AFTER = LIMITS.urlSeconds + LIMITS.longestUploadSeconds;

    it.each(['pending', 'READY'])(
      'a deleted %s file keeps its tombstone only as long as a part URL signed at the delete, not for a week',
      async (state) => {
        const asked = intent('film.mp4');
        const file = await pending(asked);
        if (state === 'READY') await store.markReady(file, seen(asked));
        await opened.shiftTime(DAY);
        await store.markDeleted(file);
        expect(await urlEnd(file)).toBeCloseTo(LIMITS.urlSeconds, -1);
        await opened.shiftTime(URLS_PURGEABLE_AFTER - 60);
        expect(await store.purge(file)).toBe(false);
        await opened.shiftTime(120);
        expect(await store.purge(file)).toBe(true);
      },
    );

    it('a tombstone does not prolong the lifetime of an upload whose week is nearly over', async () => {
      const file = await pending(intent('film.mp4'));
      await opened.shiftTime(LIMITS.multipartSeconds - 600);
      await store.markDeleted(file);
      expect(await urlEnd(file)).toBeCloseTo(600, -1);
    });

    describe('the cap on pending multipart uploads', () => {
      const CAP = LIMITS.pendingMultipartMax;
      const tooMany = { refused: 'too many pending', kind: 'multipart', limit: CAP };
      const reserved = (outcomes: Reservation[]) => outcomes.filter(({ refused }) => refused === undefined);

      async function persist(asked: OwnedIntent): Promise<Reservation> {
        for (;;) {
          const outcome = await store.reserve(asked);
          if (outcome.refused !== 'contention') return outcome;
        }
      }

      it('is reached exactly by concurrent calls, and refusals name the kind of upload', async () => {
        const outcomes = await Promise.all(
          Array.from({ length: 4 * CAP }, (_, i) => persist(intent(`${i}.mp4`))),
        );
        expect(reserved(outcomes)).toHaveLength(CAP);
        const refused = outcomes.filter(({ refused }) => refused !== undefined);
        expect(refused).toEqual(Array.from({ length: 3 * CAP }, () => tooMany));
      });

      it('is independent of the cap on single PUTs', async () => {
        const single = (i: number): OwnedIntent => ({ ...intent(`${i}.pdf`, 1), parts: undefined });
        const asked = [
          ...Array.from({ length: 2 * CAP }, (_, i) => intent(`${i}.mp4`)),
          ...Array.from({ length: 2 * LIMITS.pendingMax }, (_, i) => single(i)),
        ];
        const made = reserved(await Promise.all(asked.map(persist)));
        expect(made).toHaveLength(CAP + LIMITS.pendingMax);
        expect(await persist(intent('more.mp4'))).toEqual(tooMany);
        expect(await persist(single(999))).toEqual({
          refused: 'too many pending',
          kind: 'single',
          limit: LIMITS.pendingMax,
        });
      });

      it('counts a cancelled upload until its part URLs have expired, and not for a week', async () => {
        for (let i = 0; i < CAP; i++) await store.markDeleted(await pending(intent(`${i}.mp4`)));
        expect(await store.reserve(intent('more.mp4'))).toEqual(tooMany);
        await opened.shiftTime(LIMITS.urlSeconds - 5);
        expect(await store.reserve(intent('more.mp4'))).toEqual(tooMany);
        await opened.shiftTime(10);
        for (let i = 0; i < CAP; i++) await pending(intent(`again ${i}.mp4`));
        expect(await store.reserve(intent('more.mp4'))).toEqual(tooMany);
      });

      it('refuses to renew an expired upload whose slot another upload has taken', async () => {
        const old = [];
        for (let i = 0; i < CAP; i++) old.push(await pending(intent(`${i}.mp4`)));
        await opened.shiftTime(LIMITS.multipartSeconds + 1);
        for (const file of old.slice(1)) expect(await store.renewUpload(file)).toBeDefined();
        await pending(intent('new.mp4'));
        expect(await store.reserve(intent('more.mp4'))).toEqual(tooMany);
        const [first] = old;
        expect(first && (await store.renewUpload(first))).toBeUndefined();
        // When a slot is free again, reserve gives it to the expired upload, and then renewUpload works.
        await store.markReady(intent('new.mp4'), seen(intent('new.mp4')));
        expect(await store.reserve(intent('0.mp4'))).toMatchObject({ created: false });
        expect(first && (await store.renewUpload(first))).toBeDefined();
      });
    });

    it('leaseDue marks multipart tombstones, and a pending upload is purgeable a day after its week', async () => {
      const film = await pending(intent('film.mp4'));
      const gone = await pending(intent('gone.mp4'));
      await store.markDeleted(gone);
      await opened.shiftTime(URLS_PURGEABLE_AFTER - 60);
      expect(await store.leaseDue(10, 60)).toMatchObject([{ purgeable: false }, { purgeable: false }]);
      await opened.shiftTime(PURGEABLE_AFTER - URLS_PURGEABLE_AFTER);
      const early = await store.leaseDue(10, 60);
      expect(early).toHaveLength(2);
      expect(early.find(({ state }) => state === 'pending')).toMatchObject({ purgeable: false });
      await opened.shiftTime(120);
      const due = await store.leaseDue(10, 60);
      const { createTime: _, ...same } = film;
      expect(due).toContainEqual({ state: 'pending', file: expect.objectContaining(same), purgeable: true });
      expect(due).toContainEqual({
        state: 'deleted',
        ref: { userId: 'ada', s3Key: gone.s3Key, isMultipart: true },
        lost: false,
        purgeable: true,
      });
    });

    it('no method reads or changes an upload of another user', async () => {
      const file = await pending(intent('film.mp4'));
      const theirs = { userId: 'bob', s3Key: file.s3Key };
      expect(await store.findUpload(theirs)).toBeUndefined();
      expect(await store.renewUpload(theirs)).toBeUndefined();
      expect(await store.setUploadId(theirs, 'upload 1', undefined)).toBe(false);
      expect((await store.findUpload(file))?.uploadId).toBeUndefined();
    });
  });
}
