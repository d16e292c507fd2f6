import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ReadyFile } from '../../src/files/file.ts';
import type { FileEvent } from '../../src/files/ports/event-queue.ts';
import type { SeenObject } from '../../src/files/ports/transitions.ts';
import { fingerprintOf } from '../../src/files/rules/fingerprint.ts';
import { parseMd5 } from '../../src/files/rules/md5.ts';
import type { S3Key } from '../../src/files/rules/s3-key.ts';
import type { StoreLimits } from '../../src/postgres/store-limits.ts';
import { ampleCall, ampleWork, type OwnedIntent, type PatientStore, type Ref } from '../harness/deadline.ts';
import { md5 } from '../harness/random.ts';
import { STORE_LIMITS } from '../harness/store-limits.ts';
import type { OpenStore } from './open-store.ts';

const LIMITS: StoreLimits = { ...STORE_LIMITS, announcesChanges: true };
const PURGEABLE_AFTER = LIMITS.urlSeconds + LIMITS.longestUploadSeconds;
const HOUR_MICROSECONDS = 3_600_000_000;
const LEASE_SECONDS = 60;

const SEEN: SeenObject = {
  size: 7,
  etag: 'etag of S3',
  mimeType: 'text/plain',
  lastModified: new Date('2024-05-06T07:08:09.123Z'),
};

function intent(name: string, userId = 'ada'): OwnedIntent {
  return {
    userId,
    s3Key: `${userId}_${name}`,
    filename: name,
    mimeType: 'application/pdf',
    fingerprint: fingerprintOf(parseMd5(md5(name))),
    size: 7,
  };
}

const multipartIntent = (name: string): OwnedIntent => ({
  ...intent(name),
  fingerprint: `${intent(name).fingerprint}-2` as OwnedIntent['fingerprint'],
  parts: { partSize: 5, md5s: Buffer.alloc(32) },
});

/** Tests the promises of the port `EventQueue`, and of the other ports about events (src/files/ports). */
export function eventsContract(name: string, open: (limits: StoreLimits) => Promise<OpenStore>): void {
  describe(`${name}, events`, () => {
    let opened: OpenStore;
    let store: PatientStore;
    let events: OpenStore['events'];
    beforeAll(async () => {
      opened = await open(LIMITS);
      ({ store, events } = opened);
    });
    afterAll(() => opened.close());
    beforeEach(async () => {
      await opened.pool.query('delete from files');
    });

    const lease = (limit = 100) => events.leaseEvents(ampleWork(), limit, LEASE_SECONDS);
    const acknowledge = (...acknowledged: FileEvent[]) => events.acknowledgeEvents(ampleWork(), acknowledged);
    const brief = ({ s3Key, change }: FileEvent) => [s3Key, change];

    /** Leases the only due event. */
    async function nextEvent(): Promise<FileEvent> {
      const [event, ...others] = await lease();
      expect(others).toEqual([]);
      return event ?? expect.fail('no event is due');
    }

    async function acknowledgeAll(): Promise<void> {
      for (let due = await lease(); due.length > 0; due = await lease()) await acknowledge(...due);
      await opened.pool.query('update files set event_due_at = null');
    }

    async function pending(name: string, userId?: string) {
      const reserved = await store.reserve(intent(name, userId));
      return reserved.refused === undefined ? reserved.file : expect.fail(reserved.refused);
    }

    async function ready(name: string, userId?: string): Promise<ReadyFile> {
      const file = await store.markReady(await pending(name, userId), SEEN);
      return file ?? expect.fail('not READY');
    }

    async function lost(name: string): Promise<ReadyFile> {
      const file = await ready(name);
      await store.markLost(file);
      return file;
    }

    /** A pending upload of a file that was lost. */
    async function renewedAfterLoss(name: string) {
      const file = await lost(name);
      await store.reserve(intent(name));
      await store.updateIntent(intent(name));
      return file;
    }

    async function row({ userId, s3Key }: Ref) {
      const { rows } = await opened.pool.query(
        `select revision::float8 as revision, event_attempts as attempts, sweep_attempts,
           extract(epoch from event_due_at - now())::float8 as event_due, extract(epoch from due_at - now())::float8 as due
         from files where user_id = $1 and s3_key = $2`,
        [userId, s3Key],
      );
      return rows[0] ?? expect.fail('no row');
    }

    /** Holds a lock on the row while `run` runs. */
    async function whileLocked({ userId, s3Key }: Ref, run: () => Promise<void>): Promise<void> {
      const client = await opened.pool.connect();
      try {
        await client.query('begin');
        await client.query('select from files where user_id = $1 and s3_key = $2 for update', [
          userId,
          s3Key,
        ]);
        await run();
      } finally {
        await client.query('rollback');
        client.release();
      }
    }

    describe('a change', () => {
      it('to READY has the values that S3 reported, and the time of Postgres', async () => {
        const { rows } = await opened.pool.query<{ now: Date }>('select now()');
        const { userId, s3Key, filename, fingerprint, createTime } = await ready('a.pdf');
        const event = await nextEvent();
        expect(event).toEqual({
          userId,
          s3Key,
          change: 'ready',
          file: { s3Key, filename, fingerprint, createTime, ...SEEN },
          revision: expect.any(Number),
          changedAt: new Date(event.revision / 1_000),
          attempts: 0,
        });
        const sinceMs = event.changedAt.getTime() - (rows[0]?.now.getTime() ?? 0);
        expect(sinceMs).toBeGreaterThanOrEqual(0);
        expect(sinceMs).toBeLessThan(10_000);
      });

      it('of many files to READY causes an event for each of them', async () => {
        const files = [await pending('a'), await pending('b')];
        await store.markReadyMany('ada', Object.fromEntries(files.map(({ s3Key }) => [s3Key, SEEN])));
        expect((await lease()).map(brief).sort()).toEqual([
          ['ada_a', 'ready'],
          ['ada_b', 'ready'],
        ]);
      });

      const readers: Record<string, (file: Ref, seen: SeenObject) => Promise<unknown>> = {
        markReady: (file, seen) => store.markReady(file, seen),
        markReadyMany: (file, seen) => store.markReadyMany(file.userId, { [file.s3Key]: seen }),
      };
      describe.each(Object.entries(readers))('found by %s', (_, verify) => {
        it('is none if the READY file is as before', async () => {
          const file = await ready('a');
          await acknowledge(await nextEvent());
          const before = await row(file);
          await verify(file, { ...SEEN, lastModified: new Date() });
          expect(await lease()).toEqual([]);
          expect((await row(file)).revision).toBe(before.revision);
        });

        it('keeps the pause of an event that was postponed if the READY file is as before', async () => {
          const file = await ready('a');
          const event = await nextEvent();
          await events.postponeEvents(ampleWork(), [{ ...event, pauseSeconds: 900, isCounted: true }]);
          await verify(file, SEEN);
          expect(await row(file)).toMatchObject({ revision: event.revision, attempts: 1 });
          expect((await row(file)).event_due).toBeGreaterThan(800);
        });

        it.each<Partial<SeenObject>>([{ size: 8 }, { etag: 'another' }, { mimeType: 'another/type' }])(
          'of a READY file causes an event with %o',
          async (change) => {
            const file = await ready('a');
            const first = await nextEvent();
            await acknowledge(first);
            await verify(file, { ...SEEN, ...change });
            const event = await nextEvent();
            expect(event).toMatchObject({ change: 'ready', file: { ...SEEN, ...change } });
            expect(event.revision).toBeGreaterThan(first.revision);
          },
        );
      });

      it('of a READY file to lost has the values from before', async () => {
        await lost('a.pdf');
        expect(await nextEvent()).toMatchObject({ change: 'lost', file: { filename: 'a.pdf', ...SEEN } });
      });

      it('of a lost file to READY causes an event', async () => {
        const file = await lost('a');
        await acknowledge(await nextEvent());
        await store.markReady(file, SEEN);
        expect(await nextEvent()).toMatchObject({ change: 'ready' });
      });

      it('to deleted has no filename, and no values of S3 if the file was never READY', async () => {
        for (const file of [await pending('pending'), await ready('ready'), await lost('lost')]) {
          expect(await store.markDeleted(file)).toBeDefined();
        }
        const found = new Map((await lease()).map((event) => [event.s3Key as string, event]));
        expect([...found.values()].map(({ change }) => change)).toEqual(['deleted', 'deleted', 'deleted']);
        const { size, etag, lastModified } = SEEN;
        const inStorage = { size, etag, lastModified };
        const named = { filename: '', mimeType: 'application/pdf' };
        expect(found.get('ada_pending')?.file).toEqual({
          s3Key: 'ada_pending',
          ...named,
          fingerprint: intent('pending').fingerprint,
          createTime: expect.any(Date),
        });
        expect(found.get('ada_ready')?.file).toMatchObject({ filename: '', ...inStorage });
        expect(found.get('ada_lost')?.file).toMatchObject({ filename: '', ...inStorage });
      });

      it('of a lost file to a tombstone is `expired`, also before its loss was acknowledged', async () => {
        const file = await lost('a');
        await opened.shiftTime(PURGEABLE_AFTER + 1);
        expect(await store.expireUpload(file)).toBeDefined();
        expect(await nextEvent()).toMatchObject({ change: 'expired', file: { filename: '', ...SEEN } });
      });

      it('of a file that was never READY to a tombstone is no event, if its user did not delete it', async () => {
        const file = await pending('a');
        await opened.shiftTime(PURGEABLE_AFTER + 1);
        expect(await store.expireUpload(file)).toBeDefined();
        expect(await lease()).toEqual([]);
        expect(await row(file)).toMatchObject({ revision: 0 });
      });

      it('of an upload that is lost and begun again waits until the loss was acknowledged, and is then no event', async () => {
        const file = await renewedAfterLoss('a');
        await opened.shiftTime(PURGEABLE_AFTER + 1);
        expect(await store.expireUpload(file)).toBeUndefined();
        const event = await nextEvent();
        expect(event.change).toBe('lost');
        await acknowledge(event);
        expect(await store.expireUpload(file)).toBeDefined();
        expect(await lease()).toEqual([]);
      });

      it('by which reconcile adopts an object is an event', async () => {
        const { s3Key, filename, fingerprint } = intent('a');
        const object = { s3Key: s3Key as S3Key, filename, fingerprint, ...SEEN };
        expect(await opened.rows.adopt(ampleCall(), object)).toBe(true);
        expect(await nextEvent()).toMatchObject({ change: 'ready', file: { filename, ...SEEN } });
      });

      it('that consumers need not know causes no event', async () => {
        const upload = multipartIntent('in parts');
        await pending('a');
        await pending('a');
        await store.updateIntent({ ...intent('a'), filename: 'b' });
        await opened.port.reserveMany(ampleCall(), [intent('a'), intent('b')] as never);
        await store.reserve(upload);
        await store.renewUpload(upload);
        await store.setUploadId(upload, 'id', undefined);
        await opened.shiftTime(3_600);
        await store.leaseDue(100, 60);
        for (const file of [intent('a'), intent('b'), upload]) await store.reschedule(file);
        await store.makeDue([intent('a')]);
        expect(await lease()).toEqual([]);
        const file = (await store.markReady(upload, SEEN)) ?? expect.fail('not READY');
        await acknowledge(await nextEvent());
        await store.clearSweep(file);
        await store.reserve(upload);
        expect(await lease()).toEqual([]);
      });

      it('replaces an older change that was not delivered', async () => {
        const file = await ready('a');
        await store.markDeleted(file);
        expect(await nextEvent()).toMatchObject({ change: 'deleted' });
      });
    });

    describe('the revision', () => {
      it('grows with each change of a file, also after its row was purged and its key is given again', async () => {
        const revisions: number[] = [];
        const note = async (change: string) => {
          const event = await nextEvent();
          expect(event.change).toBe(change);
          revisions.push(event.revision);
          await acknowledge(event);
        };
        const file = await ready('a');
        await note('ready');
        await store.markLost(file);
        await note('lost');
        await store.markReady(file, SEEN);
        await note('ready');
        await store.markDeleted(file);
        await note('deleted');
        await opened.shiftTime(PURGEABLE_AFTER + 1);
        expect(await store.purge(file)).toBe(true);
        await ready('a');
        await note('ready');
        expect(revisions).toEqual([...new Set(revisions)].sort((a, b) => a - b));
        expect(revisions).toHaveLength(5);
      });

      it('grows although the clock of Postgres was set back', async () => {
        const file = await ready('a');
        const before = await nextEvent();
        const later = before.revision + HOUR_MICROSECONDS;
        expect(later % 10, 'the digit of READY').toBe(0);
        await opened.pool.query('update files set revision = $1', [later]);
        await store.markLost(file);
        expect((await nextEvent()).revision).toBe(later + 11);
        await store.markReady(file, SEEN);
        expect((await nextEvent()).revision).toBe(later + 20);
        await events.replayEvents(ampleWork(), 100, {});
        expect((await nextEvent()).revision).toBe(later + 30);
        await store.markDeleted(file);
        expect((await nextEvent()).revision).toBe(later + 42);
      });
    });

    describe('the revision of an event that is due', () => {
      const silent = () => opened.openInstance({ announcesChanges: false });
      const makeEventDue = () => opened.pool.query(`update files set event_due_at = now() - interval '1 s'`);

      it('grows if a service without events deletes the file meanwhile, and then stays', async () => {
        const file = await ready('a');
        const before = await nextEvent();
        await silent().markDeleted(ampleCall(), file.s3Key);
        await makeEventDue();
        const after = await nextEvent();
        expect(after.change).toBe('deleted');
        expect(after.revision).toBeGreaterThan(before.revision);
        await acknowledge(before);
        await makeEventDue();
        expect(await nextEvent()).toEqual(after);
        await acknowledge(after);
        expect((await row(file)).event_due).toBeNull();
      });

      it('grows if a service without events finds that the file is lost, and finds it again', async () => {
        const file = await ready('a');
        const revisions = [(await nextEvent()).revision];
        const call = ampleCall();
        for (const change of [
          () => silent().markLost(call, file.s3Key, file.verifiedAt),
          () => silent().markReady(call, file.s3Key, SEEN),
        ]) {
          await change();
          await makeEventDue();
          revisions.push((await nextEvent()).revision);
        }
        expect(revisions).toEqual([...new Set(revisions)].sort((a, b) => a - b));
        expect(revisions).toHaveLength(3);
      });
    });

    describe('leaseEvents', () => {
      it('returns an event again when its lease has ended, or at once if the file has changed', async () => {
        const file = await ready('a');
        const { revision } = await nextEvent();
        expect(await lease()).toEqual([]);
        await opened.shiftTime(LEASE_SECONDS + 1);
        expect(await nextEvent()).toMatchObject({ revision, attempts: 0 });
        await store.markDeleted(file);
        expect(await nextEvent()).toMatchObject({ change: 'deleted' });
      });

      it('serves users in turn when more events are due than one lease holds', async () => {
        for (let i = 0; i < 30; i++) await ready(`${i}`, 'eve');
        for (const user of ['ada', 'bob', 'zoe']) await ready('a', user);
        const leased = [...(await lease(10)), ...(await lease(10))];
        const users = leased.map(({ userId }) => userId);
        expect(leased).toHaveLength(20);
        expect(users).toEqual(expect.arrayContaining(['ada', 'bob', 'zoe']));
      });

      it('returns the events of a user in the order in which they came due, and those after `dueFrom` only', async () => {
        for (let i = 0; i < 3; i++) await ready(`${i}`);
        await opened.pool.query(
          `update files set event_due_at = now() - (10 - right(s3_key, 1)::int) * interval '1 minute'`,
        );
        const [first] = await lease(1);
        expect(first?.s3Key).toBe('ada_0');
        const from = new Date(Date.now() - 8.5 * 60_000);
        const leased = await events.leaseEvents(ampleWork(), 10, LEASE_SECONDS, from);
        expect(leased.map(brief)).toEqual([['ada_2', 'ready']]);
      });

      it('leaves out a row that another session has locked', async () => {
        const file = await ready('a');
        await ready('b');
        await whileLocked(file, async () => {
          expect((await lease()).map(brief)).toEqual([['ada_b', 'ready']]);
        });
        expect((await lease()).map(brief)).toEqual([['ada_a', 'ready']]);
      });

      it('gives each event to one of six dispatchers that lease at once', async () => {
        for (let i = 0; i < 60; i++) await ready(`${i}`, `user ${i % 7}`);
        const queues = Array.from({ length: 6 }, () => opened.openQueue());
        const leased: string[] = [];
        await Promise.all(
          queues.map(async (queue) => {
            for (;;) {
              const batch = await queue.leaseEvents(ampleWork(), 5, LEASE_SECONDS);
              leased.push(...batch.map(({ userId, s3Key }) => `${userId} ${s3Key}`));
              if (batch.length === 0) return;
            }
          }),
        );
        leased.push(...(await lease()).map(({ userId, s3Key }) => `${userId} ${s3Key}`));
        expect(new Set(leased).size).toBe(60);
        expect(leased).toHaveLength(60);
      });
    });

    describe('acknowledgeEvents', () => {
      it('removes events of many users, and needs no event', async () => {
        for (const user of ['ada', 'bob']) for (const name of ['a', 'b']) await ready(name, user);
        const leased = await lease();
        expect(leased).toHaveLength(4);
        expect(await acknowledge(...leased.slice(0, 3))).toEqual([]);
        expect(await acknowledge()).toEqual([]);
        await opened.shiftTime(LEASE_SECONDS + 1);
        expect((await lease()).map(brief)).toEqual(leased.slice(3).map(brief));
      });

      it('leaves an event due if the file has changed since the delivery', async () => {
        const file = await ready('a');
        const old = await nextEvent();
        await store.markDeleted(file);
        expect(await acknowledge(old)).toEqual([old]);
        expect(await nextEvent()).toMatchObject({ change: 'deleted' });
      });

      it('does not wait for a locked row, whose event comes due again', async () => {
        const file = await ready('a');
        await ready('b');
        const leased = await lease();
        await whileLocked(file, async () => {
          expect((await acknowledge(...leased)).map(brief)).toEqual([['ada_a', 'ready']]);
        });
        await opened.shiftTime(LEASE_SECONDS + 1);
        expect((await lease()).map(brief)).toEqual([['ada_a', 'ready']]);
      });
    });

    describe('postponeEvents', () => {
      it('makes each event due after its own pause, and counts the attempts that count', async () => {
        await ready('a');
        await ready('b', 'bob');
        const [a, b] = (await lease()).sort((x, y) => x.s3Key.localeCompare(y.s3Key)) as [
          FileEvent,
          FileEvent,
        ];
        const postpone = (counted: boolean) =>
          events.postponeEvents(ampleWork(), [
            { ...a, pauseSeconds: 100, isCounted: true },
            { ...b, pauseSeconds: 1_000.5, isCounted: counted },
          ]);
        await postpone(false);
        expect((await row(a)).event_due).toBeCloseTo(100, -1);
        expect((await row(b)).event_due).toBeCloseTo(1_000.5, -1);
        await postpone(true);
        await opened.shiftTime(101);
        expect(await nextEvent()).toMatchObject({ s3Key: a.s3Key, attempts: 2 });
        await opened.shiftTime(900);
        const later = (await lease()).filter(({ s3Key }) => s3Key === b.s3Key);
        expect(later).toMatchObject([{ attempts: 1 }]);
        await events.postponeEvents(ampleWork(), []);
      });

      it('changes neither a newer event of the file nor an acknowledged event', async () => {
        const file = await ready('a');
        const old = await nextEvent();
        await store.markDeleted(file);
        const postponed = (event: FileEvent) => [{ ...event, pauseSeconds: 900, isCounted: true }];
        await events.postponeEvents(ampleWork(), postponed(old));
        const event = await nextEvent();
        expect(event).toMatchObject({ change: 'deleted', attempts: 0 });
        await acknowledge(event);
        await events.postponeEvents(ampleWork(), postponed(event));
        expect((await row(file)).event_due).toBeNull();
      });

      it('starts to count again with the next change', async () => {
        const file = await ready('a');
        const event = await nextEvent();
        await events.postponeEvents(ampleWork(), [{ ...event, pauseSeconds: 900, isCounted: true }]);
        await store.markDeleted(file);
        expect(await nextEvent()).toMatchObject({ attempts: 0 });
      });
    });

    describe('findOldestEvent', () => {
      const oldest = (dueFrom?: Date) => events.findOldestEvent(ampleWork(), dueFrom);

      it('returns the age of the oldest change, whenever its next delivery is due', async () => {
        expect((await oldest()).ageSeconds).toBe(0);
        const [a] = [await ready('a'), await ready('b')];
        await opened.pool.query(
          `update files set event_due_at = now() + interval '1 hour', revision = revision - 600000000 where s3_key = $1`,
          [a.s3Key],
        );
        expect((await oldest()).ageSeconds).toBeCloseTo(600, -1);
        await acknowledgeAll();
        expect((await oldest()).ageSeconds).toBe(0);
      });

      it('returns where the next search may begin', async () => {
        await ready('a');
        await opened.pool.query(`update files set event_due_at = now() - interval '1 hour'`);
        const { dueFrom } = await oldest();
        const { rows } = await opened.pool.query('select event_due_at from files');
        expect(dueFrom).toEqual(rows[0].event_due_at);
        expect((await oldest(dueFrom)).dueFrom).toEqual(dueFrom);
        expect((await oldest(new Date(dueFrom.getTime() + 1))).ageSeconds).toBe(0);
      });
    });

    describe('a row with an event that was not acknowledged', () => {
      it.each<[string, () => Promise<Ref>]>([
        [
          'a tombstone',
          async () => {
            const file = await pending('a');
            await store.markDeleted(file);
            return file;
          },
        ],
        ['an upload that was lost and begun again', () => renewedAfterLoss('a')],
      ])('is not purged: %s', async (_, make) => {
        const file = await make();
        await opened.shiftTime(PURGEABLE_AFTER + 1);
        expect(await store.purge(file)).toBe(false);
        await acknowledge(await nextEvent());
        expect(await store.purge(file)).toBe(true);
      });

      it('is not purged while a lost file has not become a tombstone', async () => {
        const file = await lost('a');
        await acknowledge(await nextEvent());
        await opened.shiftTime(PURGEABLE_AFTER + 1);
        expect(await store.purge(file)).toBe(false);
        expect(await store.expireUpload(file)).toBeDefined();
        await opened.shiftTime(PURGEABLE_AFTER + 1);
        expect(await store.purge(file)).toBe(false);
        await acknowledge(await nextEvent());
        expect(await store.purge(file)).toBe(true);
      });
    });

    describe('replayEvents', () => {
      const replay = (filter: { userId?: string; since?: Date }, limit = 100) => {
        const pages: number[] = [];
        const from = async (after?: { userId: string; s3Key: S3Key }): Promise<number[]> => {
          const { replayed, next } = await events.replayEvents(ampleWork(), limit, filter, after);
          pages.push(replayed);
          return next === undefined ? pages : from(next);
        };
        return from();
      };

      it('makes all READY files due again, page by page, and no other file', async () => {
        for (const user of ['ada', 'bob']) for (let i = 0; i < 4; i++) await ready(`${i}`, user);
        await pending('pending');
        await store.markDeleted(await ready('deleted'));
        const before = await lease();
        await acknowledgeAll();
        expect(await replay({}, 3)).toEqual([3, 1, 3, 1, 0].slice(0, 5));
        const after = new Map((await lease()).map((event) => [`${event.userId} ${event.s3Key}`, event]));
        expect(after.size).toBe(8);
        for (const { userId, s3Key, change, revision } of before) {
          if (change === 'deleted') continue;
          expect(after.get(`${userId} ${s3Key}`)?.revision).toBeGreaterThan(revision);
        }
      });

      it('makes only the files of one user due', async () => {
        for (const user of ['ada', 'bob', 'bobby']) for (let i = 0; i < 3; i++) await ready(`${i}`, user);
        await acknowledgeAll();
        expect(await replay({ userId: 'bob' }, 2)).toEqual([2, 1, 0]);
        expect(new Set((await lease()).map(({ userId }) => userId))).toEqual(new Set(['bob']));
      });

      it('leaves out files that were READY before `since`', async () => {
        await ready('old');
        await opened.shiftTime(3_600);
        await ready('new');
        await acknowledgeAll();
        expect(await replay({ since: new Date(Date.now() - 1_800_000) })).toEqual([1, 0]);
        expect((await lease()).map(brief)).toEqual([['ada_new', 'ready']]);
      });
    });

    it('dropEvents drops events that are due now and later, at most `limit`', async () => {
      for (let i = 0; i < 5; i++) await ready(`${i}`);
      await opened.pool.query(
        `update files set event_due_at = now() + interval '1 h' where s3_key < 'ada_3'`,
      );
      expect(await events.dropEvents(ampleWork(), 3)).toEqual({ dropped: 3, isLeft: true });
      expect(await events.dropEvents(ampleWork(), 2)).toEqual({ dropped: 2, isLeft: false });
      expect(await events.dropEvents(ampleWork(), 100)).toEqual({ dropped: 0, isLeft: false });
      expect(await lease()).toEqual([]);
    });

    it('dropEvents says that an event of a locked row is left', async () => {
      await ready('a');
      await whileLocked(await ready('b'), async () => {
        expect(await events.dropEvents(ampleWork(), 100)).toEqual({ dropped: 1, isLeft: true });
        expect(await events.dropEvents(ampleWork(), 100)).toEqual({ dropped: 0, isLeft: true });
      });
      expect(await events.dropEvents(ampleWork(), 100)).toEqual({ dropped: 1, isLeft: false });
    });

    it('a store without events announces nothing and purges a lost file and a tombstone at once', async () => {
      const { openInstance } = opened;
      const silent = openInstance({ announcesChanges: false });
      const call = ampleCall();
      const names = ['ready', 'lost', 'deleted', 'expired'];
      for (const name of names) await silent.reserve(call, intent(name) as never);
      await silent.reserveMany(call, [intent('many')] as never);
      const key = (name: string) => intent(name).s3Key as S3Key;
      await silent.markReadyMany(call, new Map([[key('many'), SEEN]]));
      const file = (await silent.markReady(call, key('ready'), SEEN)) ?? expect.fail('not READY');
      const found = (await silent.markReady(call, key('lost'), SEEN)) ?? expect.fail('not READY');
      await silent.markReady(call, key('ready'), { ...SEEN, mimeType: 'another/type' });
      await silent.markLost(call, key('lost'), found.verifiedAt);
      await silent.markDeleted(call, key('deleted'));
      await opened.shiftTime(PURGEABLE_AFTER + 1);
      expect(await silent.expireUpload(call, key('expired'))).toBeDefined();
      const { rows } = await opened.pool.query(
        'select s3_key from files where revision <> 0 or event_due_at is not null or event_attempts <> 0',
      );
      expect(rows).toEqual([]);
      expect(file.state).toBe('ready');
      expect(await silent.purge(call, key('lost'))).toBe(true);
      expect(await silent.purge(call, key('deleted'))).toBe(true);
    });

    describe('early sweeps', () => {
      /** The ages of the upload at which the sweeper comes, if it never finds the object. */
      async function agesOfSweeps(file: Ref, sweeps: number): Promise<number[]> {
        const ages: number[] = [];
        let age = 0;
        for (let i = 0; i < sweeps; i++) {
          const { due } = await row(file);
          age += due;
          await opened.shiftTime(due);
          ages.push(Math.round(age));
          await store.reschedule(file);
        }
        return ages;
      }
      const EARLY = [2, 4, 8, 16, 30, 150, 630];

      it('come 2, 4, 8, 16 and 30 s after a create, and then the usual sweeps', async () => {
        expect(await agesOfSweeps(await pending('a'), 7)).toEqual(EARLY);
      });

      it('begin again when a pending upload gets a URL again, alone and in a batch', async () => {
        const file = await pending('a');
        await agesOfSweeps(file, 5);
        await pending('a');
        expect(await agesOfSweeps(file, 7)).toEqual(EARLY);
        await opened.port.reserveMany(ampleCall(), [intent('a')] as never);
        expect(await agesOfSweeps(file, 7)).toEqual(EARLY);
      });

      it('come after a create in a batch', async () => {
        await opened.port.reserveMany(ampleCall(), [intent('a')] as never);
        expect(await agesOfSweeps(intent('a'), 7)).toEqual(EARLY);
      });

      it('do not come for multipart uploads, tombstones and lost files', async () => {
        const upload = multipartIntent('in parts');
        await store.reserve(upload);
        await store.reserve(upload);
        expect(await agesOfSweeps(upload, 3)).toEqual([30, 150, 630]);
        const file = await lost('lost');
        expect(await agesOfSweeps(file, 3)).toEqual([30, 150, 630]);
        await store.markDeleted(file);
        expect(await agesOfSweeps(file, 3)).toEqual([30, 150, 630]);
      });

      it('are not used up by sweeps that `makeDue` has asked for', async () => {
        const file = await pending('a');
        for (let i = 0; i < 10; i++) {
          await store.makeDue([file]);
          await store.leaseDue(100, 60);
          await store.reschedule(file);
        }
        expect((await row(file)).due).toBeCloseTo(2, 0);
      });

      it('end with the usual sweeps if a service without events continues them', async () => {
        const file = await pending('a');
        const silent = opened.openInstance({ announcesChanges: false });
        for (let i = 0; i < 5; i++) await silent.reschedule(ampleCall(), file.s3Key);
        expect((await row(file)).due).toBeCloseTo(120, -1);
      });
    });
  });
}
