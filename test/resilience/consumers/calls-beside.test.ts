import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { forAllTests } from '../../harness/for-all-tests.ts';
import { LONG } from '../../harness/long-form.ts';
import { startTestObjectStore } from '../../harness/object-store.ts';
import { residentMb } from '../../harness/resident-memory.ts';
import { report } from '../outcome.ts';
import { type Comparison, compare, describeRatio, FIGURES } from './comparison.ts';
import { type Failure, startFailingGrpcConsumer, startFailingHttpConsumer } from './failing-consumer.ts';
import { runRound } from './rounds.ts';
import { type Announcing, startAnnouncing } from './service.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const ROUNDS = LONG ? 9 : 3;
const WARM_UP_ROUNDS = LONG ? 3 : 1;

/** The most by which calls and sweeps may be slower with events, beside the noise of the rounds. */
const SLOWER_MAX = LONG ? 1.1 : 2;
/** Other work on the machine delays single calls by this. */
const BUSY_MACHINE_MS = LONG ? 0 : 100;

/** The service may grow by this during all rounds of a case, beside what it grows by without events. */
const GROWTH_MAX_MB = LONG ? 15 : 40;

const objects = forAllTests(() => startTestObjectStore());
const off = forAllTests(() => startAnnouncing(objects));

const HTTP_FAILURES: Failure[] = [
  'answers 200 with a megabyte of garbage',
  'answers each event after 3 s',
  'redirects',
  'answers an error',
  'refuses connections',
  'accepts connections and sends nothing',
];
const GRPC_FAILURES: Failure[] = [
  'answers an error',
  'refuses connections',
  'accepts connections and sends nothing',
];

/** With these failures, the consumer takes no event. */
const KEEPS_EVENTS: Failure[] = [
  'redirects',
  'answers an error',
  'refuses connections',
  'accepts connections and sends nothing',
];

describe.each([
  ['HTTP', startFailingHttpConsumer, LONG ? HTTP_FAILURES : HTTP_FAILURES.slice(4)],
  ['gRPC', startFailingGrpcConsumer, LONG ? GRPC_FAILURES : GRPC_FAILURES.slice(2)],
] as const)('over %s', (protocol, startConsumer, failures) => {
  const consumer = forAllTests(startConsumer);
  const on = forAllTests(() => startAnnouncing(objects, { consumer: consumer.url }));
  const undelivered = async (): Promise<number> => {
    const { rows } = await on.database.query(
      'select count(*)::int as count from files where event_due_at is not null',
    );
    return rows[0].count;
  };

  beforeAll(async () => {
    for (let round = 0; round < WARM_UP_ROUNDS; round++) {
      for (const service of [off, on]) await runRound(service);
    }
  });

  afterEach(async () => {
    await consumer.set('none');
    // What happens after the return of a consumer is measured in return.test.ts.
    await on.database.query('update files set event_due_at = null where event_due_at is not null');
  });

  test.for(failures)(`a consumer over ${protocol} %s`, async (failure, context) => {
    await consumer.set(failure);
    // The first deliveries fail, and what was leased before has ended.
    await runRound(on);
    await sleep(LONG ? 5_000 : 500);
    const before = await memoryOf(on, off);
    const rounds = await runRounds({ on, off });
    const after = await memoryOf(on, off);
    const left = await undelivered();

    const failed = [...rounds.on, ...rounds.off].flatMap(({ failures: failedCalls }) => failedCalls);
    expect(failed).toEqual([]);
    const ratios = Object.entries(FIGURES).map(([name, figureOf]) => ({
      name,
      ...compare(rounds, figureOf),
    }));
    const growth = { on: after.on - before.on, off: after.off - before.off };
    report(
      context,
      'no call fails; calls and sweeps are as fast as without events',
      `${ratios.map(describeRatio).join('; ')}; RSS ${before.on.toFixed(0)} → ${after.on.toFixed(0)} MB, without events ${before.off.toFixed(0)} → ${after.off.toFixed(0)} MB; ${left} events wait`,
    );
    for (const { name, onMs, offMs, noise } of ratios) {
      expect(onMs, name).toBeLessThan(offMs * (SLOWER_MAX + noise) + BUSY_MACHINE_MS);
    }
    expect(growth.on).toBeLessThan(Math.max(0, growth.off) + GROWTH_MAX_MB);
    expect(consumer.redirected).toBe(0);
    if (KEEPS_EVENTS.includes(failure)) expect(left).toBeGreaterThan(0);
  });
});

/** Calls both services in turns. The second one of a round may find a busier machine, so they change places. */
async function runRounds(services: Record<'on' | 'off', Announcing>): Promise<Comparison> {
  const rounds: Comparison = { on: [], off: [] };
  for (let round = 0; round < ROUNDS; round++) {
    const order = round % 2 === 0 ? (['off', 'on'] as const) : (['on', 'off'] as const);
    for (const which of order) rounds[which].push(await runRound(services[which]));
  }
  return rounds;
}

async function memoryOf(on: Announcing, off: Announcing): Promise<Record<'on' | 'off', number>> {
  return { on: await residentMb(on.service.pid), off: await residentMb(off.service.pid) };
}
