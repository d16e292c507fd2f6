import { describe, expect, it } from 'vitest';
import type { Reservation } from '../../../src/files/ports/reservations.ts';
import type { OwnedIntent } from '../../harness/deadline.ts';
import { filesOf, intent, LIMITS, type StoreFixture, seen } from './fixture.ts';

/** Tests the cap on the pending uploads of a user: `reserve` of the port `Reservations`. */
export function pendingCapContract({
  store,
  opened,
  everything,
  liveRows,
  pending,
  ready,
  lost,
}: StoreFixture): void {
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
      await opened.pool.query(`update files set url_expire_at = now() - interval '1 s' where filename = '0'`);
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
      const outcomes = await Promise.all(Array.from({ length: 3 * CAP }, (_, i) => persist(intent(`${i}`))));
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
}
