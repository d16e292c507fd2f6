import { describe, expect, it } from 'vitest';
import type { DueFile } from '../../../src/files/ports/sweep-queue.ts';
import { FIRST_PAUSE, LARGEST, PURGEABLE_AFTER, type StoreFixture } from './fixture.ts';

/** Tests `leaseDue` of the port `SweepQueue` (src/files/ports/sweep-queue.ts). */
export function leasesContract({ store, opened, pending, ready, lost, deleted }: StoreFixture): void {
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
        await opened.pool.query(`update files set due_at = now() - $1 * interval '1 s' where filename = $2`, [
          100 - i,
          `${i}`,
        ]);
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
}
