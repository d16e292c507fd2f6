import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, test, vi } from 'vitest';
import { failureOf } from '../harness/failure.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { LONG } from '../harness/long-form.ts';
import { total } from '../harness/metrics.ts';
import { startTestObjectStore } from '../harness/object-store.ts';
import { md5 } from '../harness/random.ts';
import { s3Environment } from '../harness/s3-environment.ts';
import { startService } from '../harness/service-process.ts';
import { startSynchronousPostgres } from '../harness/synchronous-postgres.ts';
import { upload } from '../harness/upload.ts';
import { type Answer, DEADLINE_MS, startLoad, until } from './outage.ts';
import { report } from './outcome.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const POOL_SIZE = 10;
const HANG_MS = LONG ? 18_000 : 8_000;
/** Each load has four workers, so there are more writers than connections. */
const WRITE_LOADS = 4;

const postgres = forAllTests(() => startSynchronousPostgres());
const objects = forAllTests(() => startTestObjectStore());
const service = forAllTests(() =>
  startService({
    environment: {
      DATABASE_URL: postgres.url,
      DATABASE_POOL_SIZE: String(POOL_SIZE),
      MIGRATE_ON_START: 'true',
      ...s3Environment(objects),
    },
  }),
);

const timeout = { timeoutMs: DEADLINE_MS };
let readCalls: Record<string, () => Promise<unknown>>;
beforeAll(async () => {
  const ada = service.client({ 'x-user-id': 'ada' });
  const s3Key = await upload(ada, 'a.txt', 'bytes');
  await ada.listFiles({});
  readCalls = {
    list: () => ada.listFiles({}, timeout),
    get: () => ada.getFile({ s3Key }, timeout),
    download: () => ada.createPresignedDownload({ s3Key }, timeout),
  };
});

/** Creates and deletes files, and remembers what the service acknowledged. */
function startWrites() {
  const created = new Map<string, string>();
  const deleted = new Set<string>();
  /** Deletes that were called, so that their files may be gone. */
  const tried = new Set<string>();
  const client = (user: string) => service.client({ 'x-user-id': user });
  async function create(): Promise<void> {
    const user = randomUUID();
    const request = { filename: 'new.txt', mimeType: 'text/plain', md5: md5(user) };
    const { s3Key } = await client(user).createPresignedUpload(request, timeout);
    created.set(user, s3Key);
  }
  async function deleteOne(): Promise<void> {
    const [user, s3Key = ''] = [...created].findLast(([one]) => !tried.has(one)) ?? [];
    if (user === undefined) return create();
    tried.add(user);
    await client(user).deleteFile({ s3Key }, timeout);
    deleted.add(user);
  }
  const loads = Array.from({ length: WRITE_LOADS }, () => startLoad({ create, delete: deleteOne }));
  return {
    answers: () => loads.flatMap((load) => load.answers),
    stop: () => Promise.all(loads.map((load) => load.stop())),
    /** Checks that the service has every acknowledged change. */
    async checkAcknowledged(): Promise<void> {
      for (const [user, s3Key] of created) {
        if (deleted.has(user)) {
          expect(await failureOf(client(user).getFile({ s3Key }))).toMatchObject({ code: 'NotFound' });
        } else if (!tried.has(user)) {
          expect((await client(user).getFile({ s3Key })).file?.s3Key).toBe(s3Key);
        }
      }
    },
    count: () => created.size + deleted.size,
  };
}

const isOk = ({ code }: Answer) => code === 'Ok';
const readyz = async () => {
  const response = await fetch(`${service.http}/readyz`);
  return { status: response.status, ...((await response.json()) as { databaseWrites: boolean }) };
};
const writesMetric = () => total(service.http, 'files_postgres_writes');

test('commits hang, because a synchronous standby does not answer', async (context) => {
  const reads = startLoad(readCalls);
  const writes = startWrites();
  await until(() => reads.answers.length > 20 && writes.answers().filter(isOk).length > 20, 20_000);

  await postgres.hang();
  const hangsAt = performance.now();
  let waiting = 0;
  let waitingMax = 0;
  const states: Awaited<ReturnType<typeof readyz>>[] = [];
  while (performance.now() < hangsAt + HANG_MS) {
    waiting = await postgres.waiting();
    waitingMax = Math.max(waitingMax, waiting);
    states.push(await readyz());
    await sleep(100);
  }
  expect(await writesMetric()).toBe(0);
  const endsAt = performance.now();
  await postgres.recover();

  const recovered = () => writes.answers().find((one) => isOk(one) && one.at - one.ms > endsAt);
  await until(() => recovered() !== undefined, 5_000);
  await sleep(2_000);
  await Promise.all([reads.stop(), writes.stop()]);

  const during = (one: Answer) => one.at - one.ms > hangsAt && one.at < endsAt;
  const hung = writes.answers().filter(during);
  expect(hung.length).toBeGreaterThan(20);
  for (const one of hung) expect(one).toMatchObject({ code: 'Unavailable', retries: true });
  const served = reads.answers.filter(during);
  const failed = served.filter((one) => !isOk(one));
  expect(served.length).toBeGreaterThan(50);
  expect(failed.length / served.length).toBeLessThan(0.01);
  expect(waitingMax).toBeGreaterThan(0);
  // The connections of the pool, and the connection of the health check that looks whether writes work again.
  expect(waitingMax).toBeLessThanOrEqual(POOL_SIZE + 1);
  // The writes that hung first have been given up and cancelled.
  expect(waiting).toBeLessThanOrEqual(1);
  expect(new Set(states.map(({ status }) => status))).toEqual(new Set([200]));
  expect(states.at(-1)?.databaseWrites).toBe(false);
  expect(await readyz()).toMatchObject({ status: 200, databaseWrites: true });
  expect(await writesMetric()).toBe(1);
  await writes.checkAcknowledged();

  const lateMs = writes.answers().filter((one) => !isOk(one) && one.at > endsAt);
  const fullMs = Math.max(0, ...lateMs.map(({ at }) => at - endsAt));
  expect(fullMs).toBeLessThan(5_000);
  report(
    context,
    'reads are served, writes UNAVAILABLE; then serves all',
    `${HANG_MS / 1_000} s: at most ${waitingMax} commits waited in Postgres, ${served.length - failed.length} of ` +
      `${served.length} reads served, 0 of ${hung.length} writes acknowledged; all writes work ` +
      `${(fullMs / 1_000).toFixed(1)} s after the return; ${writes.count()} acknowledged changes, none lost`,
  );
  await service.stop();
});
