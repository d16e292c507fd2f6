import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createSweeper } from '../../src/files/maintenance/sweeper.ts';

const INTERVAL_SECONDS = 60;
/** Longer than the pause before a round that was asked for, and much shorter than the interval. */
const SOON_MS = 100;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Creates a sweeper whose rounds take `roundMs`, and counts them. */
function sweeperOn(roundMs = 0) {
  let rounds = 0;
  let running = 0;
  const sweeper = createSweeper({
    store: {
      findOldestDue: async () => ({ overdueSeconds: 0, dueFrom: new Date(0) }),
      async leaseDue() {
        rounds++;
        running++;
        expect(running).toBe(1);
        if (roundMs > 0) await new Promise((resolve) => setTimeout(resolve, roundMs));
        running--;
        return [];
      },
      reschedule: async () => undefined,
    },
    sweepOne: async () => 'purged',
    intervalSeconds: INTERVAL_SECONDS,
    onSwept: () => undefined,
    onOverdue: () => undefined,
    onError: () => undefined,
  });
  return { sweeper, rounds: () => rounds };
}

it('many nudges cause one round soon, and the rounds by the interval go on', async () => {
  const { sweeper, rounds } = sweeperOn();
  sweeper.start();
  for (let i = 0; i < 1_000; i++) sweeper.nudge();
  await vi.advanceTimersByTimeAsync(SOON_MS);
  expect(rounds()).toBe(1);
  // A pause is 0.5 to 1.5 times the interval, at random.
  await vi.advanceTimersByTimeAsync(1.5 * INTERVAL_SECONDS * 1_000);
  expect(rounds()).toBeGreaterThanOrEqual(2);
  expect(rounds()).toBeLessThanOrEqual(4);
  await sweeper.stop();
});

it('nudges during a round cause one more round after it', async () => {
  const { sweeper, rounds } = sweeperOn(1_000);
  sweeper.start();
  sweeper.nudge();
  await vi.advanceTimersByTimeAsync(500);
  for (let i = 0; i < 10; i++) sweeper.nudge();
  await vi.advanceTimersByTimeAsync(499);
  expect(rounds()).toBe(1);
  await vi.advanceTimersByTimeAsync(SOON_MS);
  expect(rounds()).toBe(2);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(rounds()).toBe(2);
  const stopped = sweeper.stop();
  await vi.advanceTimersByTimeAsync(1_000);
  await stopped;
});

it('a flood of nudges causes at most 50 rounds a second', async () => {
  const { sweeper, rounds } = sweeperOn();
  sweeper.start();
  for (let ms = 0; ms < 1_000; ms++) {
    sweeper.nudge();
    await vi.advanceTimersByTimeAsync(1);
  }
  expect(rounds()).toBeGreaterThan(30);
  expect(rounds()).toBeLessThanOrEqual(50);
  await sweeper.stop();
});

it('a nudge before the start or after the stop causes no round', async () => {
  const { sweeper, rounds } = sweeperOn();
  sweeper.nudge();
  await vi.advanceTimersByTimeAsync(SOON_MS);
  expect(rounds()).toBe(0);
  sweeper.start();
  await sweeper.stop();
  sweeper.nudge();
  await vi.advanceTimersByTimeAsync(SOON_MS);
  expect(rounds()).toBe(0);
});
