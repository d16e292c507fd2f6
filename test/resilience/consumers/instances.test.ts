import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { startFaultProxy } from '../../harness/fault-proxy.ts';
import { forAllTests } from '../../harness/for-all-tests.ts';
import { LONG } from '../../harness/long-form.ts';
import { startTestObjectStore } from '../../harness/object-store.ts';
import { type ServiceProcess, startService } from '../../harness/service-process.ts';
import { until } from '../outage.ts';
import { report } from '../outcome.ts';
import { addBacklog, countUndelivered } from './backlog.ts';
import { startFailingHttpConsumer } from './failing-consumer.ts';
import { startRecordingConsumer } from './recording-consumer.ts';
import { openServiceDatabase, type ServiceDatabase } from './service.ts';

vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 });

const EVENTS = LONG ? 20_000 : 4_000;
const fill = (database: ServiceDatabase['database']) =>
  addBacklog(database, { events: EVENTS, users: 10, seconds: 600 });

/** The pause of the consumer for each event, so that the backlog outlasts the restarts. */
const ANSWER_MS = 100;

/** A lease that was committed without an answer keeps its events for a minute. */
const LEASE_ENDS_MS = 90_000;

/** A stop ends its deliveries within 6 s, and the process after 8.5 s. */
const STOP_MAX_MS = 9_500;

const objects = forAllTests(() => startTestObjectStore());

function duplicatesIn(keys: readonly string[]): number {
  return keys.length - new Set(keys).size;
}

test('two instances are restarted in turns while a backlog of events is delivered', async (context) => {
  await using consumer = await startRecordingConsumer('HTTP', { answerMs: ANSWER_MS });
  await consumer.comeBack();
  await using opened = await openServiceDatabase(objects, { consumer: consumer.url, fill });
  const { environment, database } = opened;
  const start = () => startService({ environment });
  let instances: ServiceProcess[] = [await start(), await start()];
  let restarts = 0;
  while ((await countUndelivered(database)) > 0 && restarts < 20) {
    await sleep(200);
    const [oldest, ...others] = instances;
    await oldest?.stop();
    instances = [...others, await start()];
    restarts++;
  }
  await until(async () => (await countUndelivered(database)) === 0, LEASE_ENDS_MS);
  for (const instance of instances) await instance.stop();
  report(
    context,
    'each event arrives once',
    `${EVENTS} events, ${restarts} restarts, ${duplicatesIn(consumer.keys)} twice`,
  );
  expect(new Set(consumer.keys).size).toBe(EVENTS);
  expect(duplicatesIn(consumer.keys)).toBe(0);
  expect(restarts).toBeGreaterThan(1);
});

test.for(LONG ? (['refused', 'hanging'] as const) : (['refused'] as const))(
  'connections to Postgres are %s while a backlog of events is delivered',
  async (kind, context) => {
    await using consumer = await startRecordingConsumer('gRPC', { answerMs: ANSWER_MS });
    await consumer.comeBack();
    await using opened = await openServiceDatabase(objects, { consumer: consumer.url, fill });
    const url = new URL(opened.environment.DATABASE_URL);
    await using proxy = await startFaultProxy({ port: Number(url.port) });
    url.port = String(proxy.port);
    await using _ = await startService({ environment: { ...opened.environment, DATABASE_URL: url.href } });
    await until(() => consumer.keys.length > EVENTS / 10, 20_000);
    await proxy.set({ kind });
    await sleep(5_000);
    const away = consumer.keys.length;
    await proxy.set({ kind: 'none' });
    const returnedMs = performance.now();
    await until(async () => (await countUndelivered(opened.database)) === 0, LEASE_ENDS_MS);
    const twice = duplicatesIn(consumer.keys);
    report(
      context,
      'each event arrives',
      `${EVENTS} events, ${away} before the return, the rest within ${((performance.now() - returnedMs) / 1_000).toFixed(1)} s; ${twice} twice`,
    );
    expect(new Set(consumer.keys).size).toBe(EVENTS);
    // A lease that was not answered, and what was under way when its lease ended.
    expect(twice).toBeLessThan(500);
  },
);

test('SIGTERM while the consumer and Postgres hang: the process still ends in time', async (context) => {
  await using consumer = await startFailingHttpConsumer();
  await consumer.set('accepts connections and sends nothing');
  await using opened = await openServiceDatabase(objects, { consumer: consumer.url, fill });
  const url = new URL(opened.environment.DATABASE_URL);
  await using proxy = await startFaultProxy({ port: Number(url.port) });
  url.port = String(proxy.port);
  await using service = await startService({
    environment: { ...opened.environment, DATABASE_URL: url.href },
  });
  await sleep(1_000);
  await proxy.set({ kind: 'hanging' });
  const startMs = performance.now();
  await service.stop();
  const tookMs = performance.now() - startMs;
  report(context, 'ends in order', `after ${(tookMs / 1_000).toFixed(1)} s`);
  expect(tookMs).toBeLessThan(STOP_MAX_MS);
});
