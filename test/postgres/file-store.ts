import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { DeadlineExceededError } from '../../src/files/deadline.ts';
import type { ReadyFile } from '../../src/files/file.ts';
import type { FileStore } from '../../src/files/ports/file-store.ts';
import type { Reservation } from '../../src/files/ports/reservations.ts';
import type { DueFile } from '../../src/files/ports/sweep-queue.ts';
import type { SeenObject } from '../../src/files/ports/transitions.ts';
import { type Fingerprint, fingerprintOf } from '../../src/files/rules/fingerprint.ts';
import { parseMd5 } from '../../src/files/rules/md5.ts';
import { type S3Key, s3Key } from '../../src/files/rules/s3-key.ts';
import type { StoreLimits } from '../../src/postgres/store-limits.ts';
import { ampleWork, type OwnedIntent, type PatientStore, type Ref } from '../harness/deadline.ts';
import { md5 } from '../harness/random.ts';
import { STORE_LIMITS } from '../harness/store-limits.ts';
import type { OpenStore } from './open-store.ts';

const HOUR = 3_600;
const DAY = 24 * HOUR;

const LIMITS: StoreLimits = { ...STORE_LIMITS, pendingMax: 20, pendingMultipartMax: 5, examinedMax: 12 };

/**
 * A file is purgeable this many seconds after it was reserved: its URL has expired, and a late PUT has ended.
 */
const PURGEABLE_AFTER = LIMITS.urlSeconds + LIMITS.longestUploadSeconds;

/** The sweeper handles a row at the earliest this many seconds after its last change. */
const FIRST_PAUSE = 30;

/** 5 TiB, the largest object of S3. It does not fit into 32 bits, nor exactly into a float4. */
const LARGEST = 5 * 1024 ** 4;

const PAST = new Date('2024-05-06T07:08:09.123Z');

interface Named {
  userId?: string;
  /** Default: the key of this name. */
  s3Key?: string;
  content?: string;
  size?: number | undefined;
  mimeType?: string;
}

function intent(filename: string, { content = filename, ...over }: Named = {}): OwnedIntent {
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

const seen = (over: Partial<SeenObject> = {}): SeenObject => ({
  size: 7,
  etag: 'etag of S3',
  mimeType: 'text/plain',
  lastModified: PAST,
  ...over,
});

/** Tests every promise of the port `FileStore` (src/files/ports/file-store.ts). */
export function fileStoreContract(name: string, open: (limits: StoreLimits) => Promise<OpenStore>): void {
  describe(name, () => {
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

    it('every method throws DeadlineExceededError and changes nothing when the deadline has passed', async () => {
      const { port } = opened;
      const file = await ready('ready.pdf');
      const asked = await pending('pending.pdf');
      await opened.shiftTime(PURGEABLE_AFTER + 1);
      const before = await everything();
      const passed = { userId: 'ada', deadline: Date.now() };
      const calls: Record<keyof FileStore, Promise<unknown>> = {
        reserve: port.reserve(passed, asked),
        reserveMany: port.reserveMany(passed, [asked]),
        updateIntent: port.updateIntent(passed, { ...asked, size: 9 }),
        find: port.find(passed, file.s3Key),
        findMany: port.findMany(passed, [file.s3Key]),
        hasSeveralTypes: port.hasSeveralTypes(passed, file.s3Key),
        list: port.list(passed, { filenamePrefix: '', after: undefined, limit: 9 }, 9),
        markReady: port.markReady(passed, asked.s3Key, seen()),
        markReadyMany: port.markReadyMany(passed, new Map([[asked.s3Key, seen()]])),
        markLost: port.markLost(passed, file.s3Key, file.verifiedAt),
        markDeleted: port.markDeleted(passed, file.s3Key),
        leaseDue: port.leaseDue(passed, 9, 60),
        makeDue: port.makeDue(passed, [asked]),
        reschedule: port.reschedule(passed, asked.s3Key),
        purge: port.purge(passed, asked.s3Key),
        expireUpload: port.expireUpload(passed, asked.s3Key),
        clearSweep: port.clearSweep(passed, file.s3Key),
        findUpload: port.findUpload(passed, asked.s3Key),
        renewUpload: port.renewUpload(passed, asked.s3Key),
        setUploadId: port.setUploadId(passed, asked.s3Key, 'id', undefined),
        findOldestDue: port.findOldestDue(passed),
      };
      for (const [name, call] of Object.entries(calls)) {
        await expect(call, name).rejects.toBeInstanceOf(DeadlineExceededError);
      }
      expect(await everything()).toEqual(before);
    });

    describe('reserve', () => {
      it('creates a PENDING file from the intent', async () => {
        const asked = intent('x.pdf');
        const { fingerprint, ...named } = asked;
        expect(await store.reserve(asked)).toEqual({
          created: true,
          file: { ...named, fingerprint, state: 'pending', lost: false, createTime: expect.any(Date) },
        });
        expect(await row(asked)).toMatchObject({
          state: 'pending',
          url_end: about(LIMITS.urlSeconds),
          due: about(FIRST_PAUSE),
          sweep_attempts: 0,
        });
      });

      it.each([undefined, 0, 1, 2 ** 31, LARGEST, Number.MAX_SAFE_INTEGER])(
        'keeps a size of %s',
        async (size) => {
          await store.reserve(intent('x.pdf', { size }));
          expect((await store.find(intent('x.pdf')))?.size).toBe(size);
        },
      );

      it.each([`it's "quoted" \\ % _ $1.pdf`, 'naïve 文件 😀.pdf', '{a,b}.pdf', ' ', 'null'])(
        'keeps the name %s',
        async (filename) => {
          await pending(filename, { s3Key: 'key', mimeType: filename });
          expect(await store.find({ userId: 'ada', s3Key: 'key' })).toMatchObject({
            filename,
            mimeType: filename,
          });
        },
      );

      it('returns the live file with this content under its own name and key', async () => {
        const first = await pending('x.pdf', { content: 'same' });
        const again = await store.reserve(intent('y.pdf', { content: 'same', size: 9, mimeType: 'a/b' }));
        expect(again).toEqual({ created: false, file: first });
        expect(await liveRows()).toEqual(['ada_x.pdf']);
      });

      it('returns a lost file as lost, so that the caller verifies it in S3', async () => {
        const file = await lost('x.pdf');
        expect(await store.reserve(intent('x.pdf'))).toMatchObject({
          created: false,
          file: { s3Key: file.s3Key, state: 'pending', lost: true },
        });
      });

      it('renews the URL lifetime and the sweeper’s pauses of a PENDING file', async () => {
        const file = await pending('x.pdf');
        for (let i = 0; i < 3; i++) await store.reschedule(file);
        await opened.shiftTime(3_000);
        expect(await row(file)).toMatchObject({ url_end: about(600), sweep_attempts: 3 });
        await store.reserve(intent('x.pdf'));
        expect(await row(file)).toMatchObject({
          url_end: about(LIMITS.urlSeconds),
          due: about(FIRST_PAUSE),
          sweep_attempts: 0,
        });
      });

      it('never shortens the lifetime of existing URLs', async () => {
        const file = await pending('x.pdf');
        // As if a release with longer lifetimes had signed the URLs.
        await opened.shiftTime(-5 * HOUR);
        await store.reserve(intent('x.pdf'));
        expect(await row(file)).toMatchObject({ url_end: about(6 * HOUR) });
      });

      it('returns a READY file without writing its row, and whether it is fresh', async () => {
        const file = await ready('x.pdf');
        const before = await everything();
        expect(await store.reserve(intent('y.pdf', { content: 'x.pdf' }))).toEqual({ created: false, file });
        expect(file.isFresh).toBe(true);
        expect(await everything()).toEqual(before);
        await opened.shiftTime(LIMITS.verificationTtlSeconds + 1);
        expect(await store.reserve(intent('x.pdf'))).toMatchObject({
          created: false,
          file: { isFresh: false, state: 'ready' },
        });
      });

      it('gives each user a file of their own for the same key and content', async () => {
        const mine = await ready('x.pdf', { s3Key: 'key' });
        const theirs = await store.reserve(intent('x.pdf', { s3Key: 'key', userId: 'bob' }));
        expect(theirs).toMatchObject({ created: true, file: { userId: 'bob', state: 'pending' } });
        expect(await store.find(mine)).toEqual(mine);
      });

      const occupants: [string, (name: string, over: Named) => Promise<Ref>][] = [
        ['a PENDING file', pending],
        ['a READY file', ready],
        ['a lost file', lost],
        ['a tombstone', deleted],
      ];
      it.each(occupants)('refuses the key of %s with other content and changes nothing', async (_, make) => {
        await make('x.pdf', { content: 'one' });
        const before = await everything();
        expect(await store.reserve(intent('x.pdf', { content: 'other' }))).toEqual({ refused: 'key taken' });
        expect(await everything()).toEqual(before);
        // Another key is accepted.
        const other = intent('x.pdf', { content: 'other', s3Key: 'ada_x~1.pdf' });
        expect(await store.reserve(other)).toMatchObject({ created: true, file: { s3Key: 'ada_x~1.pdf' } });
      });

      it('never gives the key of a tombstone to deleted content that is uploaded again', async () => {
        await deleted('x.pdf');
        expect(await store.reserve(intent('x.pdf'))).toEqual({ refused: 'key taken' });
        expect(await store.reserve(intent('x.pdf', { s3Key: 'ada_x~1.pdf' }))).toMatchObject({
          created: true,
          file: { s3Key: 'ada_x~1.pdf' },
        });
        // The tombstone does not hide the new file from the next reserve.
        expect(await store.reserve(intent('x.pdf'))).toMatchObject({ file: { s3Key: 'ada_x~1.pdf' } });
      });

      it('creates one file when 40 calls reserve the same content at once', async () => {
        for (let round = 0; round < 5; round++) {
          const outcomes = await Promise.all(
            Array.from({ length: 40 }, (_, i) =>
              store.reserve(intent('x.pdf', { content: `${round}`, s3Key: `ada_${round}_${i}.pdf` })),
            ),
          );
          const keys = new Set(filesOf(outcomes).map(({ s3Key }) => s3Key));
          expect(keys.size).toBe(1);
          expect(outcomes.filter((one) => one.refused === undefined && one.created)).toHaveLength(1);
          // A statement may wait for the row of a concurrent call and still not see it. A retry finds the row.
          const refused = new Set(outcomes.flatMap(({ refused = [] }) => refused));
          expect([...refused].filter((why) => why !== 'contention')).toEqual([]);
          expect(await liveRows()).toHaveLength(round + 1);
        }
      });

      it('gives a key to one of 40 contents that are reserved under it at once', async () => {
        const outcomes = await Promise.all(
          Array.from({ length: 40 }, (_, i) =>
            store.reserve(intent('x.pdf', { content: `${i}`, userId: 'ada' })),
          ),
        );
        expect(filesOf(outcomes)).toHaveLength(1);
        expect(outcomes.filter(({ refused }) => refused === 'key taken')).toHaveLength(39);
      });

      it('returns an existing file or a refusal while other calls delete and create the file', async () => {
        let key = 0;
        const creating = async () => {
          for (let i = 0; i < 30; i++) {
            const made = await store.reserve(intent('x.pdf', { s3Key: `ada_${key++}` }));
            if (made.refused === undefined) expect(made.file.fingerprint).toBe(intent('x.pdf').fingerprint);
            else expect(made).toEqual({ refused: 'contention' });
          }
        };
        const deleting = async () => {
          for (let i = 0; i < 30; i++) {
            for (const s3Key of await liveRows()) await store.markDeleted({ userId: 'ada', s3Key });
            // Otherwise the cancelled uploads would reach the cap on pending uploads. The rows are locked in one
            // order, and locked rows are skipped, because the store releases several slots in one statement and
            // could wait for this statement.
            await opened.pool.query(
              `update files set url_expire_at = now() where s3_key in
                 (select s3_key from files where state = 'deleted' order by s3_key for update skip locked)`,
            );
          }
        };
        await Promise.all([creating(), creating(), creating(), deleting(), deleting()]);
        expect((await liveRows()).length).toBeLessThanOrEqual(1);
      });
    });

    describe('the cap on pending uploads', () => {
      const CAP = LIMITS.pendingMax;
      const tooMany = { refused: 'too many pending', kind: 'single', limit: CAP };
      const oneMore = () => store.reserve(intent('one more'));

      async function fillUp(userId = 'ada') {
        const files = [];
        for (let i = 0; i < CAP; i++) files.push(await pending(`${i}`, { userId }));
        return files;
      }
      const first = intent('0');

      it('refuses an upload beyond the cap and changes nothing', async () => {
        await fillUp();
        const before = await everything();
        expect(await oneMore()).toEqual(tooMany);
        expect(await everything()).toEqual(before);
      });

      it('counts neither slots nor keys nor contents of other users', async () => {
        await fillUp();
        await pending('theirs', { userId: 'cyd', s3Key: 'key' });
        await fillUp('bob');
        for (const content of ['theirs', 'new']) {
          expect(await store.reserve(intent('x', { userId: 'bob', s3Key: 'key', content }))).toEqual(tooMany);
        }
      });

      it('does not refuse files that are pending or READY already', async () => {
        await ready('there');
        await fillUp();
        expect(await store.reserve(first)).toMatchObject({ created: false });
        expect(await store.reserve(intent('there'))).toMatchObject({ created: false });
        expect(await oneMore()).toEqual(tooMany);
      });

      it('reports a taken key before a reached cap', async () => {
        await fillUp();
        expect(await store.reserve(intent('0', { content: 'other' }))).toEqual({ refused: 'key taken' });
      });

      it.each<[string, () => Promise<unknown>]>([
        ['is uploaded', () => store.markReady(first, seen())],
        [
          'has no valid URL any more',
          () => opened.pool.query(`update files set url_expire_at = now() where filename = '0'`),
        ],
      ])('allows one more upload when a pending one %s', async (_, free) => {
        await fillUp();
        await free();
        expect(await oneMore()).toMatchObject({ created: true });
        expect(await store.reserve(intent('and another'))).toEqual(tooMany);
      });

      it('counts a cancelled upload until its URL has expired, so that a loop of creates and deletes reaches the cap', async () => {
        for (let i = 0; i < CAP; i++) {
          expect(await store.markDeleted(await pending(`${i}`))).toBeDefined();
        }
        const before = await everything();
        expect(await oneMore()).toEqual(tooMany);
        expect(await everything()).toEqual(before);
        await opened.shiftTime(LIMITS.urlSeconds - 5);
        expect(await oneMore()).toEqual(tooMany);
        await opened.shiftTime(10);
        for (let i = 0; i < CAP; i++) await pending(`again ${i}`);
        expect(await oneMore()).toEqual(tooMany);
      });

      it('does not count deleted files that were READY or whose URL had expired', async () => {
        for (let i = 0; i < CAP; i++) await store.markDeleted(await ready(`${i}`));
        const files = await fillUp('bob');
        await opened.shiftTime(LIMITS.urlSeconds + 1);
        for (const file of files) await store.markDeleted(file);
        for (const userId of ['ada', 'bob']) {
          for (let i = 0; i < CAP; i++) await pending(`new ${i}`, { userId });
        }
      });

      it('needs a free slot to renew an upload whose URL has expired', async () => {
        await fillUp();
        await opened.pool.query(
          `update files set url_expire_at = now() - interval '1 s' where filename = '0'`,
        );
        expect(await oneMore()).toMatchObject({ created: true });
        expect(await store.reserve(first)).toEqual(tooMany);
        await store.markReady(intent('1'), seen());
        expect(await store.reserve(first)).toMatchObject({ created: false });
        expect(await store.reserve(intent('and another'))).toEqual(tooMany);
      });

      it('does not count a lost file until it is reserved again', async () => {
        await lost('lost');
        await fillUp();
        expect(await store.reserve(intent('lost'))).toEqual(tooMany);
        await store.markReady(first, seen());
        expect(await store.reserve(intent('lost'))).toMatchObject({ created: false, file: { lost: true } });
        expect(await oneMore()).toEqual(tooMany);
      });

      it('is reached exactly by concurrent calls', async () => {
        const persist = async (wanted: OwnedIntent): Promise<Reservation> => {
          for (;;) {
            const outcome = await store.reserve(wanted);
            if (outcome.refused !== 'contention') return outcome;
          }
        };
        const outcomes = await Promise.all(
          Array.from({ length: 3 * CAP }, (_, i) => persist(intent(`${i}`))),
        );
        expect(filesOf(outcomes)).toHaveLength(CAP);
        expect(outcomes.filter(({ refused }) => refused === 'too many pending')).toHaveLength(2 * CAP);
      });

      it('never refuses a file that a concurrent call has just created in the last slot', async () => {
        for (let i = 1; i < CAP; i++) await pending(`${i}`);
        const outcomes = await Promise.all(
          Array.from({ length: 30 }, (_, i) => store.reserve(intent('last', { s3Key: `ada_last~${i}` }))),
        );
        const refused = outcomes.flatMap(({ refused = [] }) => refused);
        expect(refused.filter((why) => why !== 'contention')).toEqual([]);
        expect(await liveRows()).toHaveLength(CAP);
      });

      it('is not exceeded when files without a slot are reserved again at once', async () => {
        await fillUp();
        await opened.shiftTime(LIMITS.urlSeconds + 1);
        for (let i = 0; i < CAP / 2; i++) await pending(`new ${i}`);
        const renewals = await Promise.all(
          Array.from({ length: CAP }, (_, i) => store.reserve(intent(`${i}`))),
        );
        expect(filesOf(renewals).length).toBeLessThanOrEqual(CAP / 2);
        const { rowCount } = await opened.pool.query('select from files where url_expire_at > now()');
        expect(rowCount).toBeLessThanOrEqual(CAP);
      });
    });

    describe('updateIntent', () => {
      const newer = intent('newer.pdf', { s3Key: 'ada_x.pdf', mimeType: 'image/png', size: LARGEST });

      it('sets the name, type and size of a PENDING file', async () => {
        const before = await pending('x.pdf');
        await store.updateIntent(newer);
        const { filename, mimeType, size } = newer;
        expect(await store.find(newer)).toEqual({ ...before, filename, mimeType, size });
        await store.updateIntent({ ...newer, size: undefined });
        expect((await store.find(newer))?.size).toBeUndefined();
      });

      it('remembers that the type has changed, also when the first type is announced again', async () => {
        const { mimeType } = await pending('x.pdf');
        await store.updateIntent({ ...newer, mimeType });
        expect(await store.hasSeveralTypes(newer)).toBe(false);
        await store.updateIntent(newer);
        await store.updateIntent({ ...newer, mimeType });
        expect(await store.find(newer)).toMatchObject({ mimeType });
        expect(await store.hasSeveralTypes(newer)).toBe(true);
      });

      it('makes a lost file an ordinary PENDING one', async () => {
        await lost('x.pdf');
        await store.updateIntent(newer);
        expect(await store.find(newer)).toMatchObject({ state: 'pending', lost: false });
      });

      it.each<[string, () => Promise<unknown>]>([
        ['READY', () => ready('x.pdf')],
        ['deleted', () => deleted('x.pdf')],
        ['unknown', async () => undefined],
      ])('changes nothing when it is %s', async (_, make) => {
        await make();
        const before = await everything();
        await store.updateIntent(newer);
        expect(await everything()).toEqual(before);
      });
    });

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

      async function pages(
        limit: number,
        between: (page: number) => Promise<unknown> = async () => undefined,
      ) {
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
          for (let i = 0; i < 3 * EXAMINED + 2; i++)
            await ready(`common ${i}`, { lastModified: at(100 - i) });
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

    describe('leaseDue', () => {
      const names = (due: DueFile[]) =>
        due.map((one) => (one.state === 'deleted' ? one.ref : one.file).s3Key).sort();

      it('returns due rows of any user, and no READY row', async () => {
        const waiting = await pending('x.pdf', { size: LARGEST });
        const gone = await deleted('y.pdf', { userId: 'bob' });
        await ready('z.pdf');
        expect(await store.leaseDue(10, 60)).toEqual([]);
        await opened.shiftTime(FIRST_PAUSE + 1);
        const due = await store.leaseDue(10, 60);
        expect(due).toHaveLength(2);
        expect(due).toContainEqual({
          state: 'pending',
          purgeable: false,
          file: { ...waiting, createTime: expect.any(Date) },
        });
        const { userId, s3Key } = gone;
        expect(due).toContainEqual({
          state: 'deleted',
          purgeable: false,
          ref: { userId, s3Key, isMultipart: false },
          lost: false,
        });
      });

      it('returns whether a file is lost and whether a row is purgeable', async () => {
        await lost('lost.pdf');
        await pending('x.pdf');
        await deleted('y.pdf');
        await opened.shiftTime(PURGEABLE_AFTER);
        await pending('young.pdf');
        await opened.shiftTime(FIRST_PAUSE + 1);
        const due = await store.leaseDue(10, 60);
        expect(due).toHaveLength(4);
        for (const one of due) {
          const name = one.state === 'pending' ? one.file.filename : 'y.pdf';
          expect(one).toHaveProperty('purgeable', name !== 'young.pdf');
          if (one.state === 'pending') expect(one.file.lost).toBe(name === 'lost.pdf');
        }
      });

      it('returns a leased row again only after its lease has expired', async () => {
        await pending('x.pdf');
        await opened.shiftTime(FIRST_PAUSE + 1);
        expect(await store.leaseDue(10, 60)).toHaveLength(1);
        expect(await store.leaseDue(10, 60)).toEqual([]);
        await opened.shiftTime(55);
        expect(await store.leaseDue(10, 60)).toEqual([]);
        await opened.shiftTime(10);
        expect(await store.leaseDue(10, 60)).toHaveLength(1);
      });

      it('returns at most `limit` rows, those of a user in the order in which they came due', async () => {
        for (const i of [6, 1, 4, 0, 7, 3, 5, 2]) {
          await pending(`${i}`);
          await opened.pool.query(
            `update files set due_at = now() - $1 * interval '1 s' where filename = $2`,
            [100 - i, `${i}`],
          );
        }
        expect(names(await store.leaseDue(2, 600))).toEqual(['ada_0', 'ada_1']);
        expect(names(await store.leaseDue(1, 600))).toEqual(['ada_2']);
        expect(names(await store.leaseDue(3, 600))).toEqual(['ada_3', 'ada_4', 'ada_5']);
        expect(names(await store.leaseDue(9, 600))).toEqual(['ada_6', 'ada_7']);
      });

      it('serves all users in turn when more rows are due than one lease holds', async () => {
        for (const userId of ['d', 'b', 'a', 'c']) {
          for (let i = 0; i < 3; i++) await pending(`${i}`, { userId });
        }
        await opened.shiftTime(FIRST_PAUSE + 1);
        const users = async (limit: number) => names(await store.leaseDue(limit, 600)).map(([user]) => user);
        // Other tests of this file have leased rows too, so any user may come first.
        const twice = [...(await users(4)), ...(await users(4))];
        expect(new Set(twice)).toEqual(new Set('abcd'));
        expect(await users(9)).toHaveLength(4);
      });

      it('skips a row that another transaction has locked', async () => {
        const busy = await pending('busy');
        await pending('free');
        await opened.shiftTime(FIRST_PAUSE + 1);
        const other = await opened.pool.connect();
        await other.query('begin');
        await other.query('update files set sweep_attempts = 1 where s3_key = $1', [busy.s3Key]);
        expect(names(await store.leaseDue(10, 60))).toEqual(['ada_free']);
        await other.query('rollback');
        other.release();
        expect(names(await store.leaseDue(10, 60))).toEqual(['ada_busy']);
      });

      it('gives each row to one of six concurrent sweepers', async () => {
        await opened.pool.query(`
          insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, url_expire_at, due_at)
          select 'user ' || i % 7, 'key ' || i, 'pending', i, '', decode(md5(i::text), 'hex'), now(), now() - i * interval '1 s'
          from generate_series(1, 300) i`);
        const sweep = async () => {
          const mine: string[] = [];
          for (let misses = 0; misses < 2; ) {
            const due = await store.leaseDue(10, 600);
            mine.push(...names(due));
            // Rows that other sweepers lock are skipped, so one empty lease does not mean that no rows are
            // left.
            if (due.length === 0) misses += 1;
          }
          return mine;
        };
        const leased = (await Promise.all(Array.from({ length: 6 }, sweep))).flat();
        expect(leased).toHaveLength(300);
        expect(new Set(leased).size).toBe(300);
      });
    });

    describe('reschedule', () => {
      it('reschedules with growing pauses, and at the latest for the time when the row is purgeable', async () => {
        const file = await pending('x.pdf');
        const pauses = [];
        for (let i = 0; i < 7; i++) {
          await store.reschedule(file);
          pauses.push(Math.round((await row(file))?.due ?? -1));
        }
        expect(pauses).toEqual([120, 480, 1_920, 7_680, 30_720, DAY, DAY].map(about));
        await opened.shiftTime(PURGEABLE_AFTER);
        const [due] = await store.leaseDue(1, 60);
        expect(due).toMatchObject({ purgeable: true });
      });

      it('reschedules exactly for the time when the row is purgeable, so that this sweep is the last', async () => {
        const file = await deleted('x.pdf');
        await opened.shiftTime(PURGEABLE_AFTER - 5);
        for (let i = 0; i < 4; i++) await store.reschedule(file);
        expect(await row(file)).toMatchObject({ due: about(5) });
        await opened.shiftTime(6);
        expect(await store.leaseDue(1, 60)).toMatchObject([{ purgeable: true }]);
      });

      it('reschedules a purgeable row with growing pauses of at most a day', async () => {
        const file = await pending('x.pdf');
        await opened.shiftTime(PURGEABLE_AFTER + 1);
        const pauses = [];
        for (let i = 0; i < 30; i++) {
          await store.reschedule(file);
          pauses.push(Math.round((await row(file))?.due ?? -1));
        }
        expect(pauses.slice(0, 7)).toEqual([120, 480, 1_920, 7_680, 30_720, DAY, DAY].map(about));
        expect(pauses.at(-1)).toEqual(about(DAY));
      });

      it('changes nothing for a READY file or an unknown key', async () => {
        const file = await ready('x.pdf');
        const before = await everything();
        await store.reschedule(file);
        await store.reschedule({ userId: 'ada', s3Key: 'none' });
        expect(await everything()).toEqual(before);
      });
    });

    describe('makeDue', () => {
      it('makes pending files of many users due now, and changes no other file', async () => {
        const files = [await lost('lost'), await pending('a'), await pending('a', { userId: 'bob' })];
        const others = [await pending('b'), await ready('ready'), await deleted('deleted')];
        const before = await Promise.all(others.map(row));
        const unknown = { userId: 'eve', s3Key: files[1]?.s3Key ?? '' };
        expect(await store.makeDue([...files, ...others.slice(1), unknown])).toBe(3);
        for (const file of files) expect((await row(file))?.due).toBeLessThanOrEqual(0);
        const after = await Promise.all(others.map(row));
        expect(after.map((one) => one?.sweep_attempts)).toEqual(before.map((one) => one?.sweep_attempts));
        expect(after.map((one) => one?.state)).toEqual(['pending', 'ready', 'deleted']);
        for (const one of after) expect(one?.due ?? 1).toBeGreaterThan(0);
        expect(await store.leaseDue(100, 60)).toHaveLength(3);
      });

      it('finds a pending file by a key that has only the hash of its user, in any company', async () => {
        const userId = 'long'.repeat(50);
        const hashed = (filename: string) => ({ userId, s3Key: s3Key(userId, filename) });
        const file = await pending('a', hashed('a'));
        const others = [await pending('b', hashed('b')), await deleted('c', hashed('c')), await pending('d')];
        await ready('e', hashed('e'));
        const before = await Promise.all(others.map(row));
        const keys = [file.s3Key, hashed('c').s3Key, hashed('e').s3Key, hashed('absent').s3Key];
        const unnamed = keys.map((key) => ({ userId: undefined, s3Key: key }));
        const makeDue = () => opened.port.makeDue(ampleWork(), [...unnamed, { ...file, userId: 'eve' }]);
        expect(await makeDue()).toBe(1);
        expect((await row(file))?.due).toBeLessThanOrEqual(0);
        expect(await makeDue()).toBe(0);
        const after = await Promise.all(others.map(row));
        expect(after.map((one) => one?.state)).toEqual(before.map((one) => one?.state));
        for (const one of after) expect(one?.due ?? 0).toBeGreaterThan(0);
        // A key without a hash is found with its user only.
        const plain = { userId: undefined, s3Key: (others[2]?.s3Key ?? '') as S3Key };
        expect(await opened.port.makeDue(ampleWork(), [plain])).toBe(0);
      });

      it('does not write a row that is due already', async () => {
        const file = await pending('a');
        expect(await store.makeDue([file, file])).toBe(1);
        const before = await everything();
        expect(await store.makeDue([file])).toBe(0);
        expect(await store.makeDue([])).toBe(0);
        expect(await everything()).toEqual(before);
      });

      it('makes a leased row due for another sweeper', async () => {
        const file = await pending('a');
        await store.makeDue([file]);
        expect(await store.leaseDue(100, 60)).toHaveLength(1);
        expect(await store.makeDue([file])).toBe(1);
        expect(await store.leaseDue(100, 60)).toHaveLength(1);
      });

      it('neither waits for a locked row nor changes it', async () => {
        const file = await pending('a');
        const client = await opened.pool.connect();
        await client.query('begin');
        await client.query('select from files where s3_key = $1 for update', [file.s3Key]);
        expect(await store.makeDue([file])).toBe(0);
        await client.query('rollback');
        client.release();
        expect((await row(file))?.due).toBeGreaterThan(0);
      });

      it('keeps the pauses of the sweeper: ten sweeps that were asked for do not make them longer', async () => {
        const file = await pending('a');
        await store.reschedule(file);
        const before = await row(file);
        for (let i = 0; i < 10; i++) {
          expect(await store.makeDue([file])).toBe(1);
          expect(await store.leaseDue(100, 60)).toHaveLength(1);
          await store.reschedule(file);
        }
        expect((await row(file))?.due).toBeCloseTo(before?.due ?? 0, 0);
        for (let i = 0; i < 300; i++) {
          await store.makeDue([file]);
          await store.leaseDue(100, 60);
        }
        await store.reschedule(file);
        expect((await row(file))?.sweep_attempts).toBeGreaterThanOrEqual(-4);
      });
    });

    describe('purge', () => {
      it.each([
        ['PENDING', pending],
        ['lost', lost],
        ['DELETED', deleted],
      ])('removes a %s row when it is purgeable, and not before', async (_, make) => {
        const file = await make('x.pdf', {});
        await opened.shiftTime(LIMITS.longestUploadSeconds - 10);
        expect(await store.purge(file)).toBe(false);
        expect(await row(file)).toBeDefined();
        await opened.shiftTime(LIMITS.urlSeconds + 20);
        expect(await store.purge(file)).toBe(true);
        expect(await row(file)).toBeUndefined();
        expect(await store.purge(file)).toBe(false);
      });

      it('keeps a READY file of any age', async () => {
        const file = await ready('x.pdf');
        await opened.shiftTime(300 * DAY);
        expect(await store.purge(file)).toBe(false);
        expect(await store.find(file)).toBeDefined();
      });

      it('keeps a purgeable file that was reserved again', async () => {
        const file = await pending('x.pdf');
        await opened.shiftTime(PURGEABLE_AFTER + 1);
        await store.reserve(intent('x.pdf'));
        expect(await store.purge(file)).toBe(false);
        expect(await store.find(file)).toBeDefined();
      });
    });

    describe('findOldestDue', () => {
      it('returns how late the oldest due row of any user is, and 0 if no row is due', async () => {
        expect(await store.oldestOverdueSeconds()).toBe(0);
        await ready('there');
        await pending('x.pdf', { userId: 'bob' });
        await opened.shiftTime(20);
        expect(await store.oldestOverdueSeconds()).toBe(0);
        await opened.shiftTime(80);
        await pending('y.pdf');
        expect(await store.oldestOverdueSeconds()).toEqual(about(70));
        await store.leaseDue(9, 60);
        expect(await store.oldestOverdueSeconds()).toBe(0);
      });
    });

    describe('another user', () => {
      /** Creates a row of Ada in each state, each old enough that every method could change it. */
      async function adasRows() {
        const files = {
          pending: await pending('pending'),
          ready: await ready('ready'),
          lost: await lost('lost'),
          deleted: await deleted('deleted'),
        };
        await opened.shiftTime(PURGEABLE_AFTER + 1);
        const there = (await store.find(files.ready)) as ReadyFile;
        return Object.values({ ...files, ready: there });
      }

      const methods: Record<
        string,
        (theirs: Ref & { filename: string; fingerprint: Fingerprint }) => Promise<unknown>
      > = {
        updateIntent: (theirs) => store.updateIntent(intent('new name', theirs)),
        find: (theirs) => store.find(theirs),
        markReady: (theirs) => store.markReady(theirs, seen()),
        markReadyMany: async (theirs) =>
          (await store.markReadyMany(theirs.userId, { [theirs.s3Key]: seen() }))[0],
        markLost: (theirs) => store.markLost({ ...(theirs as ReadyFile), verifiedAt: new Date(8.64e15) }),
        markDeleted: (theirs) => store.markDeleted(theirs),
        reschedule: (theirs) => store.reschedule(theirs),
        purge: (theirs) => store.purge(theirs),
      };
      it.each(Object.entries(methods))(
        'cannot read or change files with %s under any key',
        async (_, call) => {
          const files = await adasRows();
          const before = await everything('ada');
          for (const file of files) {
            expect((await call({ ...file, userId: 'bob' })) || undefined).toBeUndefined();
            // Bob's own row under the same key must not let the call find or change Ada's file.
            await store.reserve(intent(file.filename, { s3Key: file.s3Key, userId: 'bob' }));
            await call({ ...file, userId: 'bob' });
          }
          expect(await everything('ada')).toEqual(before);
        },
      );

      it('reserves files and slots of its own under the same keys', async () => {
        await adasRows();
        const before = await everything('ada');
        for (const { filename, s3Key } of await adasIntents()) {
          const made = await store.reserve(intent(filename, { s3Key, userId: 'bob' }));
          expect(made).toMatchObject({ created: true, file: { userId: 'bob' } });
        }
        // Beyond the cap, `explainConflict` releases expired slots. It must only release the user's own.
        for (let i = 0; i < LIMITS.pendingMax + 5; i++)
          await store.reserve(intent(`${i}`, { userId: 'bob' }));
        expect(await everything('ada')).toEqual(before);
      });
      const adasIntents = async () => ['pending', 'ready', 'lost', 'deleted'].map((name) => intent(name));

      it('lists no files', async () => {
        await adasRows();
        for (const after of [undefined, { lastModified: new Date(8.64e15), s3Key: 'zzz' }]) {
          const listed = await store.list({ userId: 'bob', filenamePrefix: '', after, limit: 100 }, 100);
          expect(listed).toMatchObject({ ready: [], pending: [] });
        }
      });
    });

    it('stores Postgres’s time in every row even if this machine’s clock is wrong', async () => {
      vi.useFakeTimers({ toFake: ['Date'], now: new Date('2001-01-01T00:00:00Z') });
      const file = await pending('x.pdf');
      const { lastModified } = (await store.markReady(file, seen())) ?? {};
      expect(lastModified).toEqual(PAST);
      const other = await deleted('y.pdf');
      const { rows } = await opened.pool.query<{ made: number; verified: number }>(
        `select extract(epoch from now() - create_time)::float8 as made, extract(epoch from now() - verified_at)::float8 as verified
         from files where s3_key = $1`,
        [file.s3Key],
      );
      expect(rows).toEqual([{ made: about(0), verified: about(0) }]);
      expect(await row(other)).toMatchObject({ due: about(FIRST_PAUSE), url_end: about(LIMITS.urlSeconds) });
      expect(await store.find(file)).toMatchObject({ isFresh: true });
    });
  });
}

const filesOf = (outcomes: Reservation[]) =>
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
const about = (seconds: number) =>
  expect.toSatisfy((value: number) => Math.abs(value - seconds) < 4, `about ${seconds}`);
