import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { forAllTests } from '../harness/for-all-tests.ts';
import { LONG } from '../harness/long-form.ts';
import { total } from '../harness/metrics.ts';
import { put } from '../harness/put.ts';
import { md5, newUser } from '../harness/random.ts';
import { startServiceWithServers } from '../harness/service-with-servers.ts';
import { serverName } from '../servers/s3/known-limits.ts';
import { startS3Server } from '../servers/s3/start-s3-server.ts';
import { startEventConsumer } from './event-consumer.ts';
import { report } from './figures.ts';
import { notifyOfObjects } from './rgw-notifications.ts';

vi.setConfig({ testTimeout: 120_000 });

const STORAGE_EVENTS_TOKEN = 'the-token-of-the-ceph-rgw';

/** Uploads, and how many of them run at once. */
const UPLOADS = 500;
const AT_ONCE = 4;

/** Uploads without hints. All run at once, because each waits for the early sweeps of the service. */
const UPLOADS_WITHOUT_HINTS = 100;
const SLOWEST_UPLOAD_MS = 1_900;

await using servers = new AsyncDisposableStack();
// The long form starts a Ceph RGW, unless TEST_S3_ENDPOINT names a server.
if (LONG && process.env.TEST_S3_ENDPOINT === undefined) {
  const started = await startS3Server('rgw');
  if (started !== undefined) Object.assign(process.env, servers.use(started).environment);
}
const owned = servers.move();
afterAll(() => owned.disposeAsync());

/** The service in a process of its own, with a consumer, and a new bucket on the Ceph RGW. */
async function startWithConsumer() {
  await using starting = new AsyncDisposableStack();
  const consumer = starting.use(await startEventConsumer());
  const environment = { EVENTS_URL: consumer.url, STORAGE_EVENTS_TOKEN };
  const service = starting.use(await startServiceWithServers({ environment }));
  const started = starting.move();
  return { consumer, service, [Symbol.asyncDispose]: () => started.disposeAsync() };
}

describe.runIf(serverName() === 'rgw')(
  'from a PUT to its READY event, which the consumer has acknowledged',
  () => {
    const fixture = forAllTests(startWithConsumer);

    /**
     * @param pauseMs from the create to the PUT
     * @returns the time from the beginning of the PUT to the acknowledgement
     */
    async function upload(name: string, pauseMs = 0): Promise<number> {
      const { service, consumer } = fixture;
      const content = `${newUser()} ${name}`;
      const answer = await service
        .client({ 'x-user-id': 'ada' })
        .createPresignedUpload({ filename: `${name}.txt`, mimeType: 'text/plain', md5: md5(content) });
      await sleep(pauseMs);
      const putMs = performance.now();
      expect(await put(answer, content)).toMatchObject({ status: 200 });
      return (await consumer.ready(answer.s3Key)) - putMs;
    }

    /** Makes the RGW send hints. Resolves when the first hint has arrived. */
    async function notify(attributes: Readonly<Record<string, string>>): Promise<void> {
      const { http, servers } = fixture.service;
      const taken = () => total(http, 'files_storage_events_total', { outcome: 'taken' });
      const before = await taken();
      const url = `${http}/storage-events/${STORAGE_EVENTS_TOKEN}`;
      await notifyOfObjects(servers.environment.S3_BUCKET ?? '', url, attributes);
      await upload(`first with ${Object.keys(attributes)}`);
      // An RGW notices a new persistent topic within 30 s.
      await expect.poll(taken, { timeout: 60_000 }).toBeGreaterThan(before);
    }

    it('without hints, each event of an upload that takes less than 2 s comes within 6 s', async (context) => {
      const uploads = Array.from({ length: UPLOADS_WITHOUT_HINTS }, (_, at) =>
        upload(`without hints ${at}`, (at / UPLOADS_WITHOUT_HINTS) * SLOWEST_UPLOAD_MS),
      );
      const { maxMs } = report(context, 'without hints, uploads of up to 2 s', await Promise.all(uploads));
      expect(maxMs).toBeLessThanOrEqual(6_000);
    });

    it.for([
      { name: 'with hints of Ceph RGW', attributes: {} },
      { name: 'with hints of Ceph RGW, `persistent=true`', attributes: { persistent: 'true' } },
    ])(
      '$name, half of the events come within 150 ms and 99 % within 1 s',
      async ({ name, attributes }, context) => {
        await notify(attributes);
        const names = Array.from({ length: UPLOADS }, (_, at) => `${Object.keys(attributes)} ${at}`).values();
        const delays: number[] = [];
        const worker = async () => {
          for (const one of names) delays.push(await upload(one));
        };
        await Promise.all(Array.from({ length: AT_ONCE }, worker));
        const { p50Ms, p99Ms } = report(context, name, delays);
        expect(p50Ms).toBeLessThanOrEqual(150);
        expect(p99Ms).toBeLessThanOrEqual(1_000);
      },
    );
  },
);
