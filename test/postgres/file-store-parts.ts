import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { PendingFile } from '../../src/files/file.ts';
import type { FileRef, Reservation, UploadIntent } from '../../src/files/ports.ts';
import { multipartFingerprint } from '../../src/files/rules/fingerprint.ts';
import type { StoreLimits } from '../../src/postgres/file-store.ts';
import type { PatientStore } from '../harness/deadline.ts';
import type { OpenStore } from './open-store.ts';

const DAY = 86_400;

const LIMITS: StoreLimits = {
  urlSeconds: 3_600,
  multipartSeconds: 7 * DAY,
  verificationTtlSeconds: 900,
  longestUploadSeconds: DAY,
  pendingMax: 20,
  pendingMultipartMax: 5,
};

const SETTLING = LIMITS.multipartSeconds + LIMITS.longestUploadSeconds;

function intent(filename: string, parts = 3, userId = 'ada'): UploadIntent {
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

const seen = ({ fingerprint, size = 0 }: UploadIntent) => ({
  size,
  etag: fingerprint,
  fingerprint,
  mimeType: 'video/mp4',
  contentEncoding: '',
  lastModified: new Date(),
});

/** What `FileStore` says of uploads in parts, as tests. */
export function uploadsInPartsContract(
  name: string,
  open: (limits: StoreLimits) => Promise<OpenStore>,
): void {
  describe(`${name}, of uploads in parts`, () => {
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

    async function pending(asked: UploadIntent): Promise<PendingFile> {
      const made = await store.reserve(asked);
      if (made.refused !== undefined || made.file.state !== 'pending') throw new Error('not PENDING');
      return made.file;
    }

    async function urlEnd({ userId, s3Key }: FileRef): Promise<number> {
      const { rows } = await opened.pool.query<{ end: number }>(
        'select extract(epoch from url_expire_at - now())::float8 as end from files where user_id = $1 and s3_key = $2',
        [userId, s3Key],
      );
      return rows[0]?.end ?? Number.NaN;
    }

    it.each([1, 3, 10_000])(
      'keeps what was announced of %d parts, and what S3 calls the upload',
      async (n) => {
        const asked = intent('film.mp4', n);
        const file = await pending(asked);
        expect(file.fingerprint).toBe(asked.fingerprint);
        const parts = { ...asked.parts, size: asked.size, count: n };
        expect(await store.findUpload(file)).toEqual({ file, parts, uploadId: undefined });
        expect(await store.setUploadId(file, 'upload 1', undefined)).toBe(true);
        expect(await store.findUpload(file)).toEqual({ file, parts, uploadId: 'upload 1' });
      },
    );

    it('is one file however often it is asked for, and keeps its upload', async () => {
      const asked = intent('film.mp4');
      const file = await pending(asked);
      await store.setUploadId(file, 'upload 1', undefined);
      const again = await store.reserve({ ...asked, s3Key: 'ada_other.mp4', filename: 'other.mp4' });
      expect(again).toMatchObject({ created: false, file: { s3Key: file.s3Key } });
      expect(await store.findUpload(file)).toMatchObject({ uploadId: 'upload 1' });
    });

    it('lives a week from when it was last asked for, by whichever call', async () => {
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

    it('binds one upload of many at once', async () => {
      const file = await pending(intent('film.mp4'));
      const ids = Array.from({ length: 10 }, (_, i) => `upload ${i}`);
      const bound = await Promise.all(ids.map((id) => store.setUploadId(file, id, undefined)));
      expect(bound.filter(Boolean)).toHaveLength(1);
      expect((await store.findUpload(file))?.uploadId).toBe(ids[bound.indexOf(true)]);
    });

    it('knows an upload that others have found and bound as the one that it is', async () => {
      const file = await pending(intent('film.mp4'));
      expect(await store.setUploadId(file, 'upload 1', undefined)).toBe(true);
      expect(await store.setUploadId(file, 'upload 1', undefined)).toBe(true);
      expect(await store.setUploadId(file, 'upload 1', 'upload 0')).toBe(true);
      expect((await store.findUpload(file))?.uploadId).toBe('upload 1');
    });

    it('binds another only in the place of the one that the caller knows', async () => {
      const file = await pending(intent('film.mp4'));
      await store.setUploadId(file, 'upload 1', undefined);
      expect(await store.setUploadId(file, 'upload 2', undefined)).toBe(false);
      expect(await store.setUploadId(file, 'upload 2', 'upload 0')).toBe(false);
      expect(await store.setUploadId(file, 'upload 2', 'upload 1')).toBe(true);
      expect((await store.findUpload(file))?.uploadId).toBe('upload 2');
    });

    it('is an upload no longer when it is READY, deleted, or of a single PUT', async () => {
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

    it('comes due once more when it is READY, and no more when nothing is left to be removed', async () => {
      const asked = intent('film.mp4');
      const file = await pending(asked);
      await store.markReady(file, seen(asked));
      await opened.shiftTime(59);
      expect(await store.leaseDue(10, 60)).toEqual([]);
      await opened.shiftTime(2);
      // A look in between is none at the parts.
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

    it('READY, and still due, is not pending', async () => {
      const asked = intent('film.mp4');
      const file = await pending(asked);
      const ready = await store.markReady(file, seen(asked));
      await store.updateIntent({ ...asked, filename: 'other.mp4' });
      const page = { userId: 'ada', filenamePrefix: '', after: undefined, limit: 9 };
      expect(await store.list(page, 9)).toMatchObject({ ready: [ready], pending: [] });
      expect(await store.reserve(asked)).toEqual({ created: false, file: ready });
      expect(await store.expireUpload(file)).toBeUndefined();
    });

    it('clearSweep leaves alone what is not READY', async () => {
      const file = await pending(intent('film.mp4'));
      await store.clearSweep(file);
      await opened.shiftTime(60);
      expect(await store.leaseDue(10, 60)).toHaveLength(1);
    });

    it('is given up only when it has settled, and keeps its key for a day more', async () => {
      const asked = intent('film.mp4');
      const file = await pending(asked);
      await store.setUploadId(file, 'upload 1', undefined);
      await opened.shiftTime(SETTLING - 60);
      expect(await store.expireUpload(file)).toBeUndefined();
      await opened.shiftTime(120);
      expect(await store.expireUpload(file)).toEqual({ userId: 'ada', s3Key: file.s3Key, isMultipart: true });
      expect(await store.expireUpload(file)).toBeUndefined();
      expect(await store.findUpload(file)).toBeUndefined();
      expect(await store.reserve(asked)).toEqual({ refused: 'key taken' });
      await opened.shiftTime(DAY + 1);
      expect(await store.purge(file)).toBe(true);
    });

    it('asked for again, it is not given up', async () => {
      for (const ask of ['reserve', 'renew'] as const) {
        const asked = intent(`${ask}.mp4`);
        const file = await pending(asked);
        await opened.shiftTime(SETTLING + 60);
        if (ask === 'reserve') await store.reserve(asked);
        else await store.renewUpload(file);
        expect(await store.expireUpload(file)).toBeUndefined();
      }
    });

    it('once READY and then lost, is asked for anew with its parts', async () => {
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

    const URLS_SETTLING = LIMITS.urlSeconds + LIMITS.longestUploadSeconds;

    it.each(['pending', 'READY'])(
      'once %s, leaves a tombstone for as long as the URL of a part that is signed at the delete, not for its week',
      async (state) => {
        const asked = intent('film.mp4');
        const file = await pending(asked);
        if (state === 'READY') await store.markReady(file, seen(asked));
        await opened.shiftTime(DAY);
        await store.markDeleted(file);
        expect(await urlEnd(file)).toBeCloseTo(LIMITS.urlSeconds, -1);
        await opened.shiftTime(URLS_SETTLING - 60);
        expect(await store.purge(file)).toBe(false);
        await opened.shiftTime(120);
        expect(await store.purge(file)).toBe(true);
      },
    );

    it('whose week is nearly over leaves a tombstone for no longer than its own time', async () => {
      const file = await pending(intent('film.mp4'));
      await opened.shiftTime(LIMITS.multipartSeconds - 600);
      await store.markDeleted(file);
      expect(await urlEnd(file)).toBeCloseTo(600, -1);
    });

    describe('the cap on them', () => {
      const CAP = LIMITS.pendingMultipartMax;
      const tooMany = { refused: 'too many pending', kind: 'multipart', limit: CAP };
      const reserved = (outcomes: Reservation[]) => outcomes.filter(({ refused }) => refused === undefined);

      async function persist(asked: UploadIntent): Promise<Reservation> {
        for (;;) {
          const outcome = await store.reserve(asked);
          if (outcome.refused !== 'raced') return outcome;
        }
      }

      it('is reached exactly, however many ask at once, and says which it is', async () => {
        const outcomes = await Promise.all(
          Array.from({ length: 4 * CAP }, (_, i) => persist(intent(`${i}.mp4`))),
        );
        expect(reserved(outcomes)).toHaveLength(CAP);
        const refused = outcomes.filter(({ refused }) => refused !== undefined);
        expect(refused).toEqual(Array.from({ length: 3 * CAP }, () => tooMany));
      });

      it('and the one on single PUTs take nothing from each other', async () => {
        const single = (i: number): UploadIntent => ({ ...intent(`${i}.pdf`, 1), parts: undefined });
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

      it('counts a cancelled one until the URLs of its parts have expired, and not for its week', async () => {
        for (let i = 0; i < CAP; i++) await store.markDeleted(await pending(intent(`${i}.mp4`)));
        expect(await store.reserve(intent('more.mp4'))).toEqual(tooMany);
        await opened.shiftTime(LIMITS.urlSeconds - 5);
        expect(await store.reserve(intent('more.mp4'))).toEqual(tooMany);
        await opened.shiftTime(10);
        for (let i = 0; i < CAP; i++) await pending(intent(`again ${i}.mp4`));
        expect(await store.reserve(intent('more.mp4'))).toEqual(tooMany);
      });

      it('holds also for those whose week is over: none is renewed whose place another has', async () => {
        const old = [];
        for (let i = 0; i < CAP; i++) old.push(await pending(intent(`${i}.mp4`)));
        await opened.shiftTime(LIMITS.multipartSeconds + 1);
        for (const file of old.slice(1)) expect(await store.renewUpload(file)).toBeDefined();
        await pending(intent('new.mp4'));
        expect(await store.reserve(intent('more.mp4'))).toEqual(tooMany);
        const [first] = old;
        expect(first && (await store.renewUpload(first))).toBeUndefined();
        // Until a place is free: then asking for it again keeps it.
        await store.markReady(intent('new.mp4'), seen(intent('new.mp4')));
        expect(await store.reserve(intent('0.mp4'))).toMatchObject({ created: false });
        expect(first && (await store.renewUpload(first))).toBeDefined();
      });
    });

    it('tells the sweeper which tombstones may have parts, and settles a day after its week', async () => {
      const film = await pending(intent('film.mp4'));
      const gone = await pending(intent('gone.mp4'));
      await store.markDeleted(gone);
      await opened.shiftTime(URLS_SETTLING - 60);
      expect(await store.leaseDue(10, 60)).toMatchObject([{ purgeable: false }, { purgeable: false }]);
      await opened.shiftTime(SETTLING - URLS_SETTLING);
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
        purgeable: true,
      });
    });

    it('says nothing to another user, and takes nothing from one', async () => {
      const file = await pending(intent('film.mp4'));
      const theirs = { userId: 'bob', s3Key: file.s3Key };
      expect(await store.findUpload(theirs)).toBeUndefined();
      expect(await store.renewUpload(theirs)).toBeUndefined();
      expect(await store.setUploadId(theirs, 'upload 1', undefined)).toBe(false);
      expect((await store.findUpload(file))?.uploadId).toBeUndefined();
    });
  });
}
