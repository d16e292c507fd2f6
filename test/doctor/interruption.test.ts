import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, it, vi } from 'vitest';
import { openTestBucket } from '../harness/bucket.ts';
import { createDatabase } from '../harness/database.ts';
import { passOn } from '../harness/pass-on.ts';
import { s3Environment } from '../harness/s3-environment.ts';
import { launchService, PROJECT } from '../harness/service-process.ts';

vi.setConfig({ testTimeout: 60_000 });

/** Slow enough that requests are under way when the signal arrives. */
const DELAY_MS = 50;

/** Longer than the tests: S3 does not answer. */
const SILENCE_MS = 300_000;

let delayMs = DELAY_MS;
let requests = 0;
let onRequest: (count: number) => void = () => undefined;

await using stack = new AsyncDisposableStack();
const database = stack.use(await createDatabase());
const bucket = await openTestBucket();
stack.defer(() => bucket.stop());
const proxy = createServer(async (incoming, response) => {
  onRequest(++requests);
  await sleep(delayMs, undefined, { ref: false });
  passOn(bucket.endpoint, incoming, response);
}).listen(0, '127.0.0.1');
await once(proxy, 'listening');
stack.defer(() => {
  proxy.close();
  proxy.closeAllConnections();
});
const owned = stack.move();
afterAll(() => owned.disposeAsync());

const endpoint = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
const environment = { DATABASE_URL: database.url, ...s3Environment({ ...bucket, endpoint }) };

it.each<[number, NodeJS.Signals]>([
  [1, 'SIGINT'],
  [12, 'SIGTERM'],
  [25, 'SIGINT'],
])('leaves nothing behind when request %i meets %s', async (count, signal) => {
  requests = 0;
  const command = [process.execPath, join(PROJECT, 'src/main.ts'), 'doctor'] as const;
  await using doctor = launchService({ command, environment });
  onRequest = (current) => {
    if (current === count) doctor.kill(signal);
  };
  const exit = await doctor.untilGone();
  expect({ ...exit, stderr: doctor.printed.stderr }).toEqual({ code: 130, signal: null, stderr: '' });
  expect(doctor.printed.stdout).toContain('the run was interrupted');
  expect(doctor.printed.stdout).toContain('Nothing was left behind.');
  expect(await bucket.keys()).toEqual([]);
  expect(await bucket.uploads()).toEqual([]);
});

it('ends at once at the second signal, while S3 does not answer', async () => {
  requests = 0;
  const command = [process.execPath, join(PROJECT, 'src/main.ts'), 'doctor'] as const;
  await using doctor = launchService({ command, environment });
  const silent = new Promise<void>((resolve) => {
    onRequest = () => {
      delayMs = SILENCE_MS;
      resolve();
    };
  });
  await silent;
  doctor.kill('SIGINT');
  // npm passes a signal of the terminal on, so a second signal within a second is the same one.
  await sleep(1_200);
  doctor.kill('SIGINT');
  const endedMs = performance.now();
  expect(await doctor.untilGone()).toEqual({ code: 130, signal: null });
  expect(performance.now() - endedMs).toBeLessThan(2_000);
});
