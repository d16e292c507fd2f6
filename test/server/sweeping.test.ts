import { expect, it, onTestFinished, vi } from 'vitest';
import { readConfig } from '../../src/config/config.ts';
import { databaseUnavailable, storageRefused } from '../../src/files/file-error.ts';
import type { Ports } from '../../src/files/operations/operations.ts';
import { RefusalError } from '../../src/files/refusal-error.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { createObservedSweeper } from '../../src/server/sweeping.ts';
import { captureLog } from '../observability/captured-log.ts';

/** Runs the sweeper for this time, while each search for due rows fails. @returns the lines of the log */
async function linesOf(error: () => unknown, seconds: number) {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const { log, lines } = captureLog('info');
  const store = { findOldestDue: () => Promise.reject(error()) };
  const ports = { store } as unknown as Ports;
  const sweeper = createObservedSweeper(
    ports,
    readConfig({ SWEEP_INTERVAL_SECONDS: '1' }),
    log,
    createMetrics(),
  );
  sweeper.start();
  await vi.advanceTimersByTimeAsync(seconds * 1_000);
  await sweeper.stop();
  return lines();
}

it('an outage gives one line of the sweeper in 10 s, with the number of failures between', async () => {
  const lines = await linesOf(() => databaseUnavailable(new Error('connect ECONNREFUSED')), 25);
  expect(lines.length).toBeGreaterThan(1);
  expect(lines.length).toBeLessThanOrEqual(3);
  const [first, second] = lines;
  const msg = 'the sweeper could not finish a step and will repeat it';
  expect(first).toMatchObject({ msg, unlogged: 0, err: { reason: 'DATABASE_UNAVAILABLE' } });
  expect(second).toMatchObject({ msg });
  expect(second?.unlogged).toBeGreaterThan(2);
});

it('a refusal of S3 gives no line of the sweeper, because the log has its sentence', async () => {
  const refusal = { operation: 'HeadObject', status: 404, code: 'NoSuchBucket', about: 'service' } as const;
  expect(await linesOf(() => storageRefused(new RefusalError('S3 refused', refusal)), 25)).toEqual([]);
});
