import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createDueEvents } from '../../src/events/due-events.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A queue that records the `dueFrom` of each search and of each lease. `undefined` asks for the whole queue. */
function queueOf(fails: () => boolean = () => false) {
  const searches: (number | undefined)[] = [];
  const leases: (number | undefined)[] = [];
  const due = createDueEvents(
    {
      async findOldestEvent(_, dueFrom) {
        searches.push(dueFrom?.getTime());
        if (fails()) throw new Error('the search takes too long');
        return { ageSeconds: 0, dueFrom: new Date(searches.length) };
      },
      async leaseEvents(_work, _limit, _leaseSeconds, dueFrom) {
        leases.push(dueFrom?.getTime());
        return [];
      },
    },
    () => undefined,
  );
  return { due, searches, leases };
}

it('leases of a second share a search, and begin where it found the oldest event', async () => {
  const { due, searches, leases } = queueOf();
  for (let n = 0; n < 4; n++) {
    await due.lease(10);
    await vi.advanceTimersByTimeAsync(500);
  }
  expect(searches).toEqual([undefined, 1]);
  expect(leases).toEqual([1, 1, 2, 2]);
});

it('the dispatcher searches the whole queue once a minute, also if that search fails', async () => {
  let isFailing = false;
  const { due, searches } = queueOf(() => isFailing && searches.at(-1) === undefined);
  for (let second = 0; second < 180; second++) {
    isFailing = second > 0;
    await due.lease(10).catch(() => undefined);
    await vi.advanceTimersByTimeAsync(1_000);
  }
  expect(searches).toHaveLength(180);
  expect(searches.filter((from) => from === undefined)).toHaveLength(3);
});
