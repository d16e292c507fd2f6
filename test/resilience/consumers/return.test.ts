import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { forAllTests } from '../../harness/for-all-tests.ts';
import { LONG } from '../../harness/long-form.ts';
import { startTestObjectStore } from '../../harness/object-store.ts';
import { residentMb } from '../../harness/resident-memory.ts';
import { grpcJsCaller } from '../callers.ts';
import { until } from '../outage.ts';
import { report } from '../outcome.ts';
import { startSteadyLoad } from '../steady-load.ts';
import { addBacklog, type Backlog, BUSY_USER, countUndelivered } from './backlog.ts';
import { type Protocol, startRecordingConsumer } from './recording-consumer.ts';
import { startAnnouncing } from './service.ts';

vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 });

const HOUR: Backlog = LONG
  ? { events: 60_000, users: 50, seconds: 3_600 }
  : { events: 3_000, users: 10, seconds: 3_600 };
const RETURN_MAX_MS = 60_000;
const GROWTH_MAX_MB = 40;

/** The first event of the busy user, and one event of another user. The consumer never takes them. */
const POISON = [`${BUSY_USER}_000000`, 'backlog-1_000100'];

/**
 * An event may arrive after this many newer events of its user: as many as are leased and under way. The events that
 * were tried while the consumer was away arrive later, because they have a pause.
 */
const OVERTAKEN_MAX = 200;
const TRIED_WHILE_AWAY_MAX = 100;

const objects = forAllTests(() => startTestObjectStore());

test.for<Protocol>(LONG ? ['HTTP', 'gRPC'] : ['gRPC'])(
  'a consumer over %s that was away for an hour returns',
  async (protocol, context) => {
    await using consumer = await startRecordingConsumer(protocol, {
      isRefused: (s3Key) => POISON.includes(s3Key),
    });
    await using announcing = await startAnnouncing(objects, {
      consumer: consumer.url,
      fill: (database) => addBacklog(database, HOUR),
    });
    const { service, database } = announcing;
    await service.logged('the consumer at EVENTS_URL takes no events; they are kept and delivered later');
    // The breaker opens, and what was leased is given back.
    await sleep(3_000);
    const load = startSteadyLoad(grpcJsCaller([service.grpc]), 2);

    const returnedMs = performance.now();
    await consumer.comeBack();
    const arrived = () => consumer.keys.filter((key) => key.startsWith('backlog-'));
    const expected = HOUR.events - POISON.length;
    // By now, the code that delivers events is compiled.
    await until(() => consumer.keys.length > expected / 3, RETURN_MAX_MS);
    const rssBefore = await residentMb(service.pid);
    await until(
      () => consumer.keys.length >= expected && new Set(arrived()).size === expected,
      RETURN_MAX_MS,
    );
    const { failures, slowestMs } = await load.stop();
    const seconds = (performance.now() - returnedMs) / 1_000;
    await until(async () => (await countUndelivered(database)) === POISON.length, 5_000);
    const rssAfter = await residentMb(service.pid);

    const keys = [...new Set(arrived())];
    const late = overtaken(keys);
    report(
      context,
      'all events arrive within 60 s, users in turn, the oldest of each user first; two events that it always refuses delay no other',
      `${expected} events of ${HOUR.users} users in ${seconds.toFixed(1)} s (${(expected / seconds).toFixed(0)}/s), ${arrived().length - expected} twice, ${late} after ${OVERTAKEN_MAX} newer ones; slowest call ${slowestMs.toFixed(0)} ms; RSS ${rssBefore.toFixed(0)} → ${rssAfter.toFixed(0)} MB`,
    );
    expect(failures).toEqual([]);
    expect(late).toBeLessThan(TRIED_WHILE_AWAY_MAX);
    expect(consumer.refused).toBeGreaterThanOrEqual(POISON.length);
    expect(rssAfter - rssBefore).toBeLessThan(GROWTH_MAX_MB);
    expectTurns(keys);
    if (LONG) expect(expected / seconds).toBeGreaterThan(1_000);
  },
);

/** The number of events that arrived after many newer events of the same user. */
function overtaken(keys: readonly string[]): number {
  const newest = new Map<string, number>();
  let count = 0;
  for (const key of keys) {
    const [user = '', number] = key.split('_');
    const before = newest.get(user) ?? 0;
    if (before - Number(number) > OVERTAKEN_MAX) count++;
    newest.set(user, Math.max(before, Number(number)));
  }
  return count;
}

/**
 * One user has half of all events. A lease shares FAIR_SHARE (80 %) evenly between the users, and gives the rest to the
 * oldest events, which are those of this user before long.
 */
function expectTurns(keys: readonly string[]): void {
  const half = keys.slice(0, keys.length / 2);
  const counts = new Map<string, number>();
  for (const key of half) {
    const [user = ''] = key.split('_');
    counts.set(user, (counts.get(user) ?? 0) + 1);
  }
  expect(counts.get(BUSY_USER) ?? 0).toBeLessThan((0.2 + 0.8 / HOUR.users + 0.1) * half.length);
  counts.delete(BUSY_USER);
  expect(counts.size).toBe(HOUR.users - 1);
  expect(Math.min(...counts.values())).toBeGreaterThan((0.6 * half.length) / HOUR.users);
}
