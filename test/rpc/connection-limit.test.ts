import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, onTestFinished, vi } from 'vitest';
import { type Connection, limitConnections } from '../../src/rpc/limits/connection-limit.ts';

const MAX = 3;

/** A port with room for three, on which nothing is said. */
async function openPort() {
  const server = createServer();
  const limit = limitConnections(server, MAX);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const opened: { socket: Socket; isClosed: boolean; connection: Connection | undefined }[] = [];
  onTestFinished(() => {
    for (const { socket } of opened) socket.destroy();
    server.close();
  });
  return {
    opened,
    /** One after the other, so that their order is known. */
    async open() {
      const accepted = once(server, 'connection');
      const socket = connect(port, '127.0.0.1').on('error', () => {});
      const [served] = (await accepted) as [Socket];
      const client = { socket, isClosed: false, connection: limit.of(served) };
      socket.resume().once('close', () => {
        client.isClosed = true;
      });
      opened.push(client);
      await sleep(2);
      return client;
    },
  };
}

const closedOf = async (opened: readonly { isClosed: boolean }[], count: number) => {
  await vi.waitFor(() => expect(opened.filter(({ isClosed }) => isClosed)).toHaveLength(count));
  return opened.map(({ isClosed }) => isClosed);
};

it('closes the oldest connection without an accepted call, whatever else was said on it', async () => {
  const port = await openPort();
  const known = await port.open();
  known.connection?.identified();
  const stranger = await port.open();
  // A refused call, or /livez.
  stranger.connection?.callBegins();
  stranger.connection?.callEnds();
  await port.open();
  await port.open();
  expect(await closedOf(port.opened, 1)).toEqual([false, true, false, false]);
});

it('closes the one idle longest when all have had an accepted call', async () => {
  const port = await openPort();
  for (let index = 0; index < MAX; index++) {
    const { connection } = await port.open();
    connection?.identified();
    connection?.callBegins();
    connection?.callEnds();
  }
  // The first one is used again; the second has a call under way.
  port.opened[0]?.connection?.callBegins();
  port.opened[0]?.connection?.callEnds();
  port.opened[1]?.connection?.callBegins();
  await port.open();
  expect(await closedOf(port.opened, 1)).toEqual([false, false, true, false]);
});

it('closes the new one when all others are busy', async () => {
  const port = await openPort();
  for (let index = 0; index < MAX; index++) {
    const { connection } = await port.open();
    connection?.identified();
    connection?.callBegins();
  }
  await port.open();
  expect(await closedOf(port.opened, 1)).toEqual([false, false, false, true]);
});

it('counts a connection no more when it has closed', async () => {
  const port = await openPort();
  for (let index = 0; index < 3 * MAX; index++) {
    const { socket } = await port.open();
    socket.destroy();
    await sleep(10);
  }
  for (let index = 0; index < MAX; index++) await port.open();
  await sleep(50);
  expect(port.opened.slice(-MAX).map(({ isClosed }) => isClosed)).toEqual([false, false, false]);
});
