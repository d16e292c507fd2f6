import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test, vi } from 'vitest';
import { bashScript } from '../harness/bash-script.ts';
import { externalServers } from '../harness/external-servers.ts';
import { total } from '../harness/metrics.ts';
import { launchService, PROJECT } from '../harness/service-process.ts';
import { startServiceWithServers } from '../harness/service-with-servers.ts';
import { waitFor } from '../harness/wait-for.ts';
import { report } from './outcome.ts';

vi.setConfig({ testTimeout: 60_000 });

const STRAY = `--import=${pathToFileURL(join(import.meta.dirname, 'stray-errors.ts')).href}`;

test('errors that no code catches are logged and counted, and fail no call', async (context) => {
  await using service = await startServiceWithServers({ environment: { NODE_OPTIONS: STRAY } });
  const files = service.client({ 'x-user-id': 'ada' });
  const calls = Array.from({ length: 50 }, async (_, index) => {
    if (index === 25) service.kill('SIGUSR2');
    await files.listFiles({});
  });
  expect((await Promise.allSettled(calls)).map(({ status }) => status)).not.toContain('rejected');
  await waitFor(async () => expect(await total(service.http, 'files_stray_errors_total')).toBe(3));
  const logged = service.log().filter(({ msg }) => msg.startsWith('no call caught this error'));
  const texts = logged.map(({ err }) => (err as Error).message);
  expect(texts.sort()).toEqual([
    expect.stringContaining('ECONNREFUSED'),
    'rejected by postgres://files:[redacted]@db/files',
    'thrown by postgres://files:[redacted]@db/files',
  ]);
  expect(service.printed.stdout + service.printed.stderr).not.toContain('swordfish');
  await service.stop();
  report(context, 'logged and counted; no call fails', `${logged.length} errors, ${calls.length} calls`);
});

test('an error that no code catches during the start ends the start with its message', async (context) => {
  await using servers = await externalServers();
  await using service = launchService({
    environment: { ...servers.environment, NODE_OPTIONS: STRAY, STRAY_AT_START: '1' },
  });
  const { code } = await service.untilGone();
  expect(code).toBe(1);
  expect(service.printed.stderr).toContain('at the start by postgres://files:[redacted]@db/files');
  report(context, 'the start ends with the reason');
});

test('the service recovers after it had no file descriptor left', async (context) => {
  await using service = await startServiceWithServers({
    command: [
      'bash',
      ...bashScript(`ulimit -n 100 && exec ${process.execPath} ${join(PROJECT, 'src/main.ts')} serve`),
    ],
  });
  const ports = Object.values(service.ports);
  const sockets = Array.from({ length: 400 }, (_, index) => connect(ports[index % 2] ?? 0, '127.0.0.1'));
  for (const socket of sockets) socket.on('error', () => {}).resume();
  await Promise.all(sockets.map((socket) => Promise.race([once(socket, 'connect'), once(socket, 'close')])));
  for (const socket of sockets) socket.destroy();
  const files = service.client({ 'x-user-id': 'ada' });
  await vi.waitFor(() => files.listFiles({}), { timeout: 5_000 });
  await service.stop();
  report(
    context,
    'connections are refused; full service when descriptors are free again',
    '400 connections, 100 descriptors',
  );
});
