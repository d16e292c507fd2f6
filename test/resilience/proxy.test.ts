import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { type FaultProxy, startFaultProxy } from '../harness/fault-proxy.ts';

/** The round-trip time of a byte through a proxy, in ms; `undefined` after the time-out. */
async function echo(proxy: FaultProxy, timeoutMs: number): Promise<number | undefined> {
  const startMs = performance.now();
  const socket = connect(proxy.port, '127.0.0.1');
  try {
    socket.write('?');
    await once(socket, 'data', { signal: AbortSignal.timeout(timeoutMs) });
    return performance.now() - startMs;
  } catch {
    return undefined;
  } finally {
    socket.destroy();
  }
}

test('the fault proxy hangs, delays and refuses as configured, and recovers', async () => {
  const server = createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  await using proxy = await startFaultProxy({ port: (server.address() as AddressInfo).port });
  expect(await echo(proxy, 1_000)).toBeLessThan(1_000);

  const kept = connect(proxy.port, '127.0.0.1');
  await once(kept, 'connect');
  await proxy.set({ kind: 'hanging' });
  expect(await echo(proxy, 200)).toBeUndefined();
  kept.write('late');
  await proxy.set({ kind: 'none' });
  const [late] = await once(kept, 'data', { signal: AbortSignal.timeout(1_000) });
  expect(`${late}`).toBe('late');

  await proxy.set({ kind: 'slow', milliseconds: 100 });
  expect(await echo(proxy, 1_000)).toBeGreaterThan(95);

  const reset = once(kept, 'close').catch((error: NodeJS.ErrnoException) => error.code);
  await proxy.set({ kind: 'refused' });
  expect(await reset).toBe('ECONNRESET');
  expect(await echo(proxy, 1_000)).toBeUndefined();
  await proxy.set({ kind: 'none' });
  expect(await echo(proxy, 1_000)).toBeLessThan(1_000);
  server.close();
});
