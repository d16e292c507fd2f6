import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createSweeper, type SweeperOptions } from '../../src/files/maintenance/sweeper.ts';
import type { DueFile } from '../../src/files/ports/sweep-queue.ts';

const BATCH_ROWS = 50;
const INTERVAL_SECONDS = 5;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const due = { state: 'deleted', ref: { userId: 'u', s3Key: 'u_a' }, purgeable: false } as DueFile;

/**
 * Creates a sweeper whose store records the `dueFrom` of each search and of each lease. If `dueFrom` is `undefined`,
 * the sweeper asked for all due rows.
 */
function sweeperOn(options: { batches?: number[]; fails?: (search: number) => boolean } = {}) {
  const { batches = [], fails = () => false } = options;
  const searches: (number | undefined)[] = [];
  const leases: (number | undefined)[] = [];
  const overdue: number[] = [];
  const store: SweeperOptions['store'] = {
    async findOldestDue(_, dueFrom) {
      searches.push(dueFrom?.getTime());
      if (fails(searches.length)) throw new Error('the search takes too long');
      return { overdueSeconds: searches.length, dueFrom: new Date(searches.length) };
    },
    async leaseDue(_work, _limit, _leaseSeconds, dueFrom) {
      leases.push(dueFrom?.getTime());
      return Array.from({ length: batches.shift() ?? 0 }, () => due);
    },
    reschedule: async () => undefined,
  };
  const sweeper = createSweeper({
    store,
    sweepOne: async () => 'purged',
    intervalSeconds: INTERVAL_SECONDS,
    onSwept: () => undefined,
    onOverdue: (seconds) => overdue.push(seconds),
    onError: () => undefined,
  });
  return { sweeper, searches, leases, overdue };
}

it('each search and each lease of the sweeper begins where the last search found the oldest due row', async () => {
  const { sweeper, searches, leases, overdue } = sweeperOn({ batches: [BATCH_ROWS, BATCH_ROWS, 7] });
  expect(await sweeper.sweep()).toBe(2 * BATCH_ROWS + 7);
  expect(searches).toEqual([undefined, 1, 2]);
  expect(leases).toEqual([1, 2, 3]);
  expect(overdue).toEqual([1, 2, 3]);
});

it('the sweeper searches everything once a minute', async () => {
  const { sweeper, searches } = sweeperOn();
  sweeper.start();
  await vi.advanceTimersByTimeAsync(10 * 60_000);
  await sweeper.stop();
  const full = searches.filter((from) => from === undefined).length;
  expect(full).toBeGreaterThanOrEqual(9);
  expect(full).toBeLessThanOrEqual(10);
  expect(searches.length).toBeGreaterThan(5 * full);
});

it('a search of everything that fails is not repeated before a minute, and the sweeper continues', async () => {
  const { sweeper, searches, leases } = sweeperOn({ fails: (search) => search > 1 && searchedAll() });
  const searchedAll = () => searches.at(-1) === undefined;
  sweeper.start();
  await vi.advanceTimersByTimeAsync(3 * 60_000);
  await sweeper.stop();
  expect(searches.filter((from) => from === undefined).length).toBeLessThanOrEqual(3);
  expect(leases.length).toBeGreaterThan(20);
});

it('a sweep of all rows, which a command or a test asks for, searches everything', async () => {
  const { sweeper, searches } = sweeperOn();
  await sweeper.sweep();
  await sweeper.sweep();
  expect(searches).toEqual([undefined, undefined]);
});
