import { expect, it } from 'vitest';
import { pauseAfterFailure } from '../../src/events/pauses.ts';

/** The shortest and the longest of a thousand pauses. */
function range(attempts: number, isOutage: boolean): [number, number] {
  const pauses = Array.from({ length: 1_000 }, () => pauseAfterFailure(attempts, isOutage).pauseSeconds);
  return [Math.min(...pauses), Math.max(...pauses)];
}

it('an event that fails alone waits four times as long after each failure, up to an hour', () => {
  const longest = [1, 4, 16, 64, 256, 1_024, 3_600, 3_600];
  longest.forEach((seconds, attempts) => {
    const [shortest, most] = range(attempts, false);
    expect(most).toBeLessThanOrEqual(seconds);
    expect(most).toBeGreaterThan(seconds * 0.98);
    expect(shortest).toBeGreaterThanOrEqual(seconds * 0.75);
    expect(shortest).toBeLessThan(seconds * 0.8);
    expect(pauseAfterFailure(attempts, false).isCounted).toBe(true);
  });
  expect(range(32_767, false)[1]).toBeLessThanOrEqual(3_600);
});

it('in an outage, an event waits 5 to 20 seconds however often it has failed, and the failure is not counted', () => {
  for (const attempts of [0, 3, 20]) {
    const [shortest, longest] = range(attempts, true);
    expect(shortest).toBeGreaterThanOrEqual(5);
    expect(longest).toBeLessThanOrEqual(20);
    expect(longest - shortest).toBeGreaterThan(10);
    expect(pauseAfterFailure(attempts, true).isCounted).toBe(false);
  }
});
