import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { type Load, offer } from '../harness/load.ts';
import { LONG } from '../harness/long-form.ts';
import { total } from '../harness/metrics.ts';
import { residentMb } from '../harness/resident-memory.ts';
import { startServiceWithServers } from '../harness/service-with-servers.ts';
import { report } from './outcome.ts';

vi.setConfig({ testTimeout: 1_800_000, hookTimeout: 60_000 });

const CALLS = 1_000_000;
/** Enough users to reveal memory that is kept for each user: 100 bytes per user are 10 MB. */
const USERS = 100_000;
const CALLS_AT_ONCE = 64;

/**
 * The memory that an operator may give to a container of the service. The young generation of the heap may
 * take 48 MB.
 */
const RESIDENT_MAX_MB = 200;

const SAMPLE_EVERY_MS = 1_000;
/** During this share of the calls the JIT compiler, the heap and the pools reach their final sizes. */
const WARM_UP_SHARE = 0.35;

/** Runs in the long form only, because fewer calls would not reveal a leak. */
test.runIf(LONG)('memory does not grow over a million calls of a hundred thousand users', async (context) => {
  await using service = await startServiceWithServers();
  const load = (call: Load['call'], share: number): Load => ({
    target: service.grpc,
    call,
    users: { name: call, count: USERS },
    pace: { kind: 'closed', callsAtOnce: CALLS_AT_ONCE * share },
    timeoutMs: 10_000,
    seconds: 1_500,
    callsMax: CALLS * share,
  });
  const offered = Promise.all([offer(load('ListFiles', 0.75)), offer(load('CreatePresignedUpload', 0.25))]);
  let done = false;
  void offered.finally(() => {
    done = true;
  });
  const samples: { calls: number; mb: number }[] = [];
  while (!done) {
    await sleep(SAMPLE_EVERY_MS);
    samples.push({
      calls: await total(service.http, 'files_calls_total'),
      mb: await residentMb(service.pid),
    });
  }
  const outcomes = await offered;
  const made = outcomes.reduce((sum, { calls }) => sum + calls, 0);
  const warm = samples.filter(({ calls }) => calls > made * WARM_UP_SHARE);
  const grownMb = slope(warm) * made * (1 - WARM_UP_SHARE);
  report(
    context,
    'memory stays flat',
    `${made} calls, ${outcomes.map(({ codes }) => JSON.stringify(codes)).join(' ')}; RSS ${warm.at(-1)?.mb.toFixed(0)} MB, slope ${grownMb.toFixed(1)} MB over the last ${(made * (1 - WARM_UP_SHARE)).toFixed(0)}`,
  );
  expect(made).toBe(CALLS);
  expect(grownMb).toBeLessThan(5);
  expect(Math.max(...warm.map(({ mb }) => mb))).toBeLessThanOrEqual(RESIDENT_MAX_MB);
  expect(await total(service.http, 'files_calls_under_way')).toBe(0);
});

/** The slope of the regression line (least squares), in MB per call. */
function slope(samples: { calls: number; mb: number }[]): number {
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(samples.map(({ calls }) => calls)), mean(samples.map(({ mb }) => mb))];
  const covariance = samples.reduce((sum, { calls, mb }) => sum + (calls - x) * (mb - y), 0);
  return covariance / samples.reduce((sum, { calls }) => sum + (calls - x) ** 2, 0);
}
