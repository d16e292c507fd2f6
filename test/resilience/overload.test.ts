import { beforeAll, expect, test, vi } from 'vitest';
import { externalServers } from '../harness/external-servers.ts';
import { startFaultProxy } from '../harness/fault-proxy.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { type Load, type LoadOutcome, offer } from '../harness/load.ts';
import { LONG } from '../harness/long-form.ts';
import { total } from '../harness/metrics.ts';
import { startService } from '../harness/service-process.ts';
import { report } from './outcome.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

/**
 * Postgres is the bottleneck: a delay of ANSWER_MS on CONNECTIONS connections allows 200 statements per
 * second, and 40 in the short form, which shares its machine with other tests. So the machine has time to
 * offer five times as much.
 */
const CONNECTIONS = LONG ? 8 : 4;
const ANSWER_MS = LONG ? 40 : 100;

/** Shorter than the time to serve all places, so that an admitted call may still miss its deadline. */
const TIMEOUT_MS = 2_000;
const PLACES = LONG ? 512 : 64;

const SECONDS = LONG ? 10 : 1.5;

/** Calls of all other users together, while one user sends a hundred times as many. */
const MODEST_CALLS_PER_SECOND = LONG ? 20 : 3;

const servers = forAllTests(externalServers);
const proxy = forAllTests(() => startFaultProxy({ port: Number(databaseUrl().port) }));
const service = forAllTests(() => {
  const url = databaseUrl();
  url.port = `${proxy.port}`;
  return startService({
    environment: {
      ...servers.environment,
      DATABASE_URL: url.href,
      DATABASE_POOL_SIZE: `${CONNECTIONS}`,
      MAX_CONCURRENT_CALLS: `${PLACES}`,
      MIGRATE_ON_START: 'true',
    },
  });
});
beforeAll(async () => {
  await proxy.set({ kind: 'slow', milliseconds: ANSWER_MS });
  // Warm-up: the first calls open the connections and compile code.
  await offer(load({ pace: { kind: 'closed', callsAtOnce: 2 * CONNECTIONS }, seconds: 1, timeoutMs: 5_000 }));
});
const databaseUrl = () => new URL(servers.environment.DATABASE_URL ?? '');

const load = (over: Partial<Load>): Load => ({
  target: service.grpc,
  call: 'ListFiles',
  users: { name: 'crowd', count: 1_000 },
  pace: { kind: 'closed', callsAtOnce: 1 },
  timeoutMs: TIMEOUT_MS,
  seconds: SECONDS,
  ...over,
});

/** Calls per second that succeeded within their deadline. */
const goodput = ({ codes, seconds }: LoadOutcome) => (codes.OK ?? 0) / seconds;

/** The highest goodput for different numbers of concurrent calls. */
async function peak(): Promise<number> {
  let best = 0;
  for (const share of [1, 2, 4]) {
    const pace = { kind: 'closed', callsAtOnce: share * CONNECTIONS } as const;
    best = Math.max(best, goodput(await offer(load({ pace, seconds: SECONDS / 2 }))));
  }
  return best;
}

const REFUSALS = { method: 'ListFiles', code: 'RESOURCE_EXHAUSTED' };
const durations = (part: string, labels = {}) =>
  total(service.http, `files_call_duration_seconds_${part}`, { ...REFUSALS, ...labels });

const milliseconds = (ms: number) => `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
const percent = (share: number) => `${(share * 100).toFixed(1)} %`;

test('goodput stays at 80 % of the peak under five times the peak load', async (context) => {
  const best = await peak();
  const outcome = await offer(load({ pace: { kind: 'open', callsPerSecond: 5 * best } }));
  const share = goodput(outcome) / best;
  const refused = await durations('count');
  const quick = (await durations('bucket', { le: '0.01' })) / refused;
  const meanMs = ((await durations('sum')) / refused) * 1_000;
  report(
    context,
    'calls above the capacity are refused at once, and admitted calls are answered',
    `peak ${best.toFixed(0)}/s, goodput ${percent(share)} of it; ${percent(quick)} of ${refused} refusals within 10 ms of server time (mean ${milliseconds(meanMs)})`,
  );
  expect(share).toBeGreaterThanOrEqual(0.8);
  expect(outcome.codes.RESOURCE_EXHAUSTED).toBeGreaterThan(outcome.calls / 4);
  // The tolerance is for refusals during which another process had the core.
  expect(quick).toBeGreaterThanOrEqual(LONG ? 0.99 : 0.95);
});

test('all calls of other users succeed while one user sends a hundred times as many', async (context) => {
  const rest = load({
    users: { name: 'modest', count: 20 },
    pace: { kind: 'open', callsPerSecond: MODEST_CALLS_PER_SECOND },
  });
  const calm = await offer(rest);
  const flood = load({
    users: { name: 'greedy', count: 1 },
    pace: { kind: 'open', callsPerSecond: 100 * MODEST_CALLS_PER_SECOND },
  });
  const [flooded, flooder] = await Promise.all([offer(rest), offer(flood)]);
  report(
    context,
    'all calls of the others succeed; calls of the user above the limit are refused',
    `others: p50 ${milliseconds(calm.okMs.p50)}, p99 ${milliseconds(calm.okMs.p99)} alone; p50 ${milliseconds(flooded.okMs.p50)}, p99 ${milliseconds(flooded.okMs.p99)} beside the user, ${flooded.codes.OK} of ${flooded.calls} calls OK. The user: ${flooder.codes.RESOURCE_EXHAUSTED} of ${flooder.calls} refused`,
  );
  expect(flooded.codes).toEqual({ OK: flooded.calls });
  // In a common queue the others would wait for at least eight rounds of answers: half of the places, divided
  // by the number of connections.
  expect(flooded.okMs.p50).toBeLessThan(calm.okMs.p50 + 6 * ANSWER_MS);
  expect(flooder.codes.RESOURCE_EXHAUSTED).toBeGreaterThan(flooder.calls / 4);
});
