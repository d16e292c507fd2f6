import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type ExternalServers, externalServers } from '../e2e/external-servers.ts';
import { type FaultProxy, startFaultProxy } from '../harness/fault-proxy.ts';
import { type Load, type LoadOutcome, offer } from '../harness/load.ts';
import { LONG } from '../harness/long-form.ts';
import { total } from '../harness/metrics.ts';
import { type ServiceProcess, startService } from '../harness/service-process.ts';
import { report } from './outcome.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

/**
 * Postgres is what runs out first; here it does by its distance, so that the
 * machine has time left to offer five times as much: 200 statements a second,
 * and in the short form, which shares its machine with other tests, 40.
 */
const CONNECTIONS = LONG ? 8 : 4;
const ANSWER_MS = LONG ? 40 : 100;

/** Shorter than all places together would wait: who is let in may still come too late. */
const TIMEOUT_MS = 2_000;
const PLACES = LONG ? 512 : 64;

const SECONDS = LONG ? 10 : 1.5;

/** Of the others, all together, while one user sends a hundred times as much. */
const MODEST_CALLS_PER_SECOND = LONG ? 20 : 3;

let servers: ExternalServers;
let proxy: FaultProxy;
let service: ServiceProcess;
beforeAll(async () => {
  servers = await externalServers();
  const url = new URL(servers.environment.DATABASE_URL ?? '');
  proxy = await startFaultProxy({ port: Number(url.port) });
  url.port = `${proxy.port}`;
  service = await startService({
    environment: {
      ...servers.environment,
      DATABASE_URL: url.href,
      DATABASE_POOL_SIZE: `${CONNECTIONS}`,
      MAX_CONCURRENT_CALLS: `${PLACES}`,
      MIGRATE_ON_START: 'true',
    },
  });
  await proxy.set({ kind: 'slow', milliseconds: ANSWER_MS });
  // The first calls of all open the connections and are compiled.
  await offer(load({ pace: { kind: 'closed', callsAtOnce: 2 * CONNECTIONS }, seconds: 1, timeoutMs: 5_000 }));
});
afterAll(async () => {
  await service?.[Symbol.asyncDispose]();
  await proxy?.[Symbol.asyncDispose]();
  await servers?.[Symbol.asyncDispose]();
});

const load = (over: Partial<Load>): Load => ({
  target: service.grpc,
  call: 'ListFiles',
  users: { name: 'crowd', count: 1_000 },
  pace: { kind: 'closed', callsAtOnce: 1 },
  timeoutMs: TIMEOUT_MS,
  seconds: SECONDS,
  ...over,
});

/** What was answered in time, a second. */
const goodput = ({ codes, seconds }: LoadOutcome) => (codes.OK ?? 0) / seconds;

/** The most that it answers, however many wait for it. */
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

test('five times the load that it can take', async (context) => {
  const best = await peak();
  const outcome = await offer(load({ pace: { kind: 'open', callsPerSecond: 5 * best } }));
  const share = goodput(outcome) / best;
  const refused = await durations('count');
  const quick = (await durations('bucket', { le: '0.01' })) / refused;
  const meanMs = ((await durations('sum')) / refused) * 1_000;
  report(
    context,
    'refuses at once what it has no place for, and answers what it takes',
    `peak ${best.toFixed(0)}/s, goodput ${percent(share)} of it; ${percent(quick)} of ${refused} refusals within 10 ms of server time (mean ${milliseconds(meanMs)})`,
  );
  expect(share).toBeGreaterThanOrEqual(0.8);
  expect(outcome.codes.RESOURCE_EXHAUSTED).toBeGreaterThan(outcome.calls / 4);
  // All of them, but for those during which another process had the core.
  expect(quick).toBeGreaterThanOrEqual(LONG ? 0.99 : 0.95);
});

test('one user at a hundred times the rest', async (context) => {
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
    'the rest get all of their answers; the one is refused what is too much',
    `the rest: p50 ${milliseconds(calm.okMs.p50)}, p99 ${milliseconds(calm.okMs.p99)}; beside it p50 ${milliseconds(flooded.okMs.p50)}, p99 ${milliseconds(flooded.okMs.p99)}, ${flooded.codes.OK} of ${flooded.calls} calls OK. The one: ${flooder.codes.RESOURCE_EXHAUSTED} of ${flooder.calls} refused`,
  );
  expect(flooded.codes).toEqual({ OK: flooded.calls });
  // Behind the other's line it would be eight answers at the least: half of the places, at so many connections.
  expect(flooded.okMs.p50).toBeLessThan(calm.okMs.p50 + 6 * ANSWER_MS);
  expect(flooder.codes.RESOURCE_EXHAUSTED).toBeGreaterThan(flooder.calls / 4);
});
