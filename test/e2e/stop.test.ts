import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import { expect, test, vi } from 'vitest';
import { dataDirectoryIn } from '../../src/dev/postgres/cluster.ts';
import { dataDirectory } from '../harness/data-directory.ts';
import { launchService, startService } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import * as connections from './open-connections.ts';

/** The tests start the service with its own Postgres: seconds on an idle machine, more on a busy machine. */
vi.setConfig({ testTimeout: 120_000 });

/**
 * Ten times the stop on an idle machine, but less than Node's keep-alive (5 s) and the grace of calls (6 s).
 */
const SOON_MS = 4_000;

test('a stop closes all connections without a call at once, and sends NOT_SERVING to health watches', async () => {
  await using directory = await dataDirectory();
  await using service = await startService({ environment: { DATA_DIR: directory.path } });
  using http1 = await connections.idleHttp1(service);
  using http2 = await connections.idleHttp2(service);
  using grpc = await connections.idleGrpc(service);
  using silent = await connections.silent(service);
  using silentGrpc = await connections.silentGrpc(service);
  using reflection = await connections.reflectionStream(service);
  using watch = await connections.healthWatch(service);

  const startMs = performance.now();
  const slow: string[] = [];
  const closed = Object.entries({ http1, http2, grpc, silent, silentGrpc, reflection, watch }).map(
    async ([name, { ended }]) => {
      await ended;
      if (performance.now() - startMs > SOON_MS) slow.push(name);
    },
  );
  await service.stop();
  await Promise.all(closed);
  expect(slow).toEqual([]);
  expect(performance.now() - startMs).toBeLessThan(SOON_MS);
  expect(watch.statuses).toEqual(['SERVING', 'NOT_SERVING']);
  expect(await watch.ended).toBe(status.UNAVAILABLE);
});

test.concurrent('a stop waits for a running call, and closes its connection after the answer', async ({
  expect,
}) => {
  await using directory = await dataDirectory();
  await using service = await startService({ environment: { DATA_DIR: directory.path } });
  using call = await connections.heldCall(service);
  await sleep(200);
  service.kill('SIGTERM');
  await service.logged('stopping');
  await sleep(500);
  expect(service.log().some(({ msg }) => msg === 'stopped')).toBe(false);

  const finishedMs = performance.now();
  call.finish();
  expect(await service.untilGone()).toEqual({ code: 0, signal: null });
  expect(performance.now() - finishedMs).toBeLessThan(SOON_MS);
  expect(call.answer.text).toMatch(/^HTTP\/1.1 200 OK/);
  // Without this header, a gateway would send its next call on the closing connection.
  expect(call.answer.text).toMatch(/^connection: close\r$/im);
});

test.concurrent.for(['SIGINT', 'SIGTERM'] as const)(
  'a second %s ends the service at once, and leaves no Postgres',
  async (signal, { expect }) => {
    await using directory = await dataDirectory();
    await using service = await startService({ environment: { DATA_DIR: directory.path } });
    using _call = await connections.heldCall(service);
    await sleep(200);
    service.kill(signal);
    await service.logged('stopping');
    await sleep(1_500);
    const secondMs = performance.now();
    service.kill(signal);
    expect(await service.untilGone()).toEqual({ code: 1, signal: null });
    expect(performance.now() - secondMs).toBeLessThan(SOON_MS);
  },
);

test.concurrent('a stop ends a call that hangs before an orchestrator kills the service', async ({
  expect,
}) => {
  await using directory = await dataDirectory();
  await using service = await startService({ environment: { DATA_DIR: directory.path } });
  using _call = await connections.heldCall(service);
  await sleep(200);
  const startMs = performance.now();
  await service.stop();
  // The service gives running calls 6 s. Docker kills a container after 10 s, and Kubernetes after 30 s.
  expect(performance.now() - startMs).toBeLessThan(9_500);
});

test('a stop during the start is orderly, and the service does not print the welcome', async () => {
  await using directory = await temporaryDirectory();
  const data = join(directory.path, 'data');
  await using service = launchService({ environment: { DATA_DIR: data } });
  await expect.poll(() => existsSync(join(data, 'postgres')), { timeout: 30_000, interval: 5 }).toBe(true);
  service.kill('SIGTERM');
  expect(await service.untilGone()).toEqual({ code: 0, signal: null });
  const messages = service.log().map(({ msg }) => msg);
  expect([messages[0], messages.at(-1)]).toEqual(['stopping', 'stopped']);
  expect(messages).not.toContain('serving');
  expect(service.printed.stdout).not.toContain('curl');
});

// The test uses script(1) of util-linux. On other systems, script has other options.
test.runIf(process.platform === 'linux')(
  'Ctrl-C in the terminal of npm start stops the service in order',
  async () => {
    await using directory = await dataDirectory();
    await using service = launchService({
      command: [
        'script',
        '--quiet',
        '--return',
        '--command',
        'exec npm start',
        join(directory.path, 'typescript'),
      ],
      environment: { DATA_DIR: directory.path, TERM: 'dumb' },
    });
    await service.logged('serving', 50_000);
    service.type('\x03');
    expect(await service.untilGone()).toEqual({ code: 0, signal: null });
    expect(service.log().at(-1)).toMatchObject({ msg: 'stopped' });
  },
);

// Without `exec` in the script of npm start, the shell would die of the signal and leave the service running.
test('npm start passes SIGTERM on to the service', async () => {
  await using directory = await dataDirectory();
  await using service = launchService({
    command: ['npm', 'start'],
    environment: { DATA_DIR: directory.path },
  });
  await service.logged('serving', 50_000);
  service.kill('SIGTERM');
  expect(await service.untilGone()).toEqual({ code: 0, signal: null });
});

test.concurrent('an embedded Postgres that hangs delays the stop by less than ten seconds', async ({
  expect,
}) => {
  await using directory = await dataDirectory();
  const data = directory.path;
  // An empty STOP_DELAY_SECONDS means the default delay.
  await using service = await startService({ environment: { DATA_DIR: data, STOP_DELAY_SECONDS: '' } });
  const lockFile = join(dataDirectoryIn(join(data, 'postgres')), 'postmaster.pid');
  const postmaster = Number.parseInt(await readFile(lockFile, 'utf8'), 10);
  process.kill(postmaster, 'SIGSTOP');
  const startMs = performance.now();
  service.kill('SIGTERM');
  expect(await service.exit).toEqual({ code: 1, signal: null });
  expect(performance.now() - startMs).toBeLessThan(10_000);
  expect(service.printed.stderr).toBe('the service did not stop in time and was ended\n');
  // The postmaster has got its signal, and ends when it continues.
  process.kill(postmaster, 'SIGCONT');
  await service.untilGone();
});
