import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, type TestContext, test, vi } from 'vitest';
import { createDatabase } from '../harness/database.ts';
import { startFaultProxy } from '../harness/fault-proxy.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { LONG } from '../harness/long-form.ts';
import { startTestObjectStore } from '../harness/object-store.ts';
import { md5 } from '../harness/random.ts';
import { s3Environment } from '../harness/s3-environment.ts';
import { type S3Fault, startFaultyS3 } from '../harness/s3-faults.ts';
import { startService } from '../harness/service-process.ts';
import { upload } from '../harness/upload.ts';
import { DEADLINE_MS, endure, until } from './outage.ts';
import { report } from './outcome.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

/** The limit of the HTTP agent in src/s3/client.ts. */
const SOCKETS_MAX = 64;

const database = forAllTests(createDatabase);
const store = forAllTests(() => startTestObjectStore());
const faulty = forAllTests(() => startFaultyS3(Number(new URL(store.endpoint).port)));
const proxy = forAllTests(() => startFaultProxy({ port: faulty.port }));
const service = forAllTests(() =>
  startService({
    environment: {
      DATABASE_URL: database.url,
      MIGRATE_ON_START: 'true',
      ...s3Environment({
        bucket: store.bucket,
        region: store.region,
        credentials: store.credentials,
        endpoint: `http://127.0.0.1:${proxy.port}`,
      }),
      // Only the connections of the service to S3 fail. Users still reach S3 directly.
      S3_PUBLIC_ENDPOINT: store.endpoint,
    },
  }),
);
let calls: Record<string, () => Promise<unknown>>;

beforeAll(async () => {
  const ada = service.client({ 'x-user-id': 'ada' });
  await upload(ada, 'a.txt', 'bytes');
  await ada.listFiles({});
  // Lists and gets must verify this pending file in S3.
  const file = (name: string) => ({ filename: name, mimeType: 'text/plain', md5: md5(name) });
  const timeout = { timeoutMs: DEADLINE_MS };
  const { s3Key } = await ada.createPresignedUpload(file('awaited.txt'));
  calls = {
    create: () =>
      service.client({ 'x-user-id': randomUUID() }).createPresignedUpload(file('new.txt'), timeout),
    list: async () => {
      const { files } = await ada.listFiles({}, timeout);
      if (files.length !== 1) throw new Error(`${files.length} files are listed`);
    },
    get: () => ada.getFile({ s3Key }, timeout),
    delete: async () => {
      const eve = service.client({ 'x-user-id': randomUUID() });
      const made = await eve.createPresignedUpload(file('deleted.txt'), timeout);
      await eve.deleteFile({ s3Key: made.s3Key }, timeout);
    },
  };
});

afterAll(() => service.stop());

interface Lost {
  begin(): Promise<unknown>;
  end(): Promise<unknown>;
}

const network = (kind: 'refused' | 'hanging'): Lost => ({
  begin: () => proxy.set({ kind }),
  end: () => proxy.set({ kind: 'none' }),
});

const answering = (fault: S3Fault): Lost => ({
  async begin() {
    faulty.fault = fault;
  },
  async end() {
    faulty.fault = 'none';
  },
});

async function outlives(context: TestContext, lost: Lost) {
  const { warned, failed, ready, figure } = await endure(service, calls, {
    ...lost,
    shortMs: 4_500,
    longMs: 10_000,
  });
  // Only calls that need S3 fail, and their errors name S3.
  expect(failed.length).toBeGreaterThan(0);
  for (const one of failed) expect(one).toMatchObject({ call: 'get', reason: 'STORAGE_UNAVAILABLE' });
  // The service stays ready, because lists and deletes still work.
  expect(ready).not.toContain(503);
  expect(warned.length).toBeGreaterThan(10);
  const slowestMs = Math.max(...warned.map(({ ms }) => ms));
  expect(slowestMs).toBeLessThan(1_000);
  await until(() => proxy.connections <= SOCKETS_MAX, 5_000);
  await until(() => service.log().some(({ msg, storage }) => msg === 'ready' && storage === true), 5_000);
  const figures = `${figure}; slowest after the first deadline ${(slowestMs / 1_000).toFixed(2)} s`;
  report(context, 'list, delete and new uploads succeed, other calls are UNAVAILABLE; then serves', figures);
}

test('S3 hangs: it accepts connections and sends nothing', (context) =>
  outlives(context, network('hanging')));

test.runIf(LONG)('S3 refuses connections', (context) => outlives(context, network('refused')));

const s3Errors: [string, S3Fault][] = [
  ['S3 answers 500 InternalError', 'InternalError'],
  ['S3 answers 503 SlowDown', 'SlowDown'],
  ['S3 answers 200, with an error in its body', '200 with an error body'],
];
for (const [name, fault] of s3Errors) {
  test.runIf(LONG)(name, (context) => outlives(context, answering(fault)));
}

test.runIf(LONG)('S3 is slow: each answer takes 300 ms longer', async (context) => {
  const { failed, figure } = await endure(service, calls, {
    begin: () => proxy.set({ kind: 'slow', milliseconds: 300 }),
    end: () => proxy.set({ kind: 'none' }),
    shortMs: 4_000,
    longMs: 10_000,
  });
  expect(failed).toEqual([]);
  report(context, 'continues to serve', figure);
});
