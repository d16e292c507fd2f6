import { describe, expect, it } from 'vitest';
import { type S3Key, s3Key } from '../../../src/files/rules/s3-key.ts';
import { ampleWork } from '../../harness/deadline.ts';
import { about, DAY, intent, LIMITS, PURGEABLE_AFTER, type StoreFixture } from './fixture.ts';

/** Tests the port `SweepQueue` (src/files/ports/sweep-queue.ts), except for its leases. */
export function sweepQueueContract({
  store,
  opened,
  row,
  everything,
  pending,
  ready,
  lost,
  deleted,
}: StoreFixture): void {
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
}
