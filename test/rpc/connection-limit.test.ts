import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { type Connection, limitConnections } from '../../src/rpc/limits/connection-limit.ts';
import { waitFor } from '../harness/wait-for.ts';

const MAX = 3;

interface Client {
  socket: Socket;
  /** The server's end of the connection. */
  served: Socket;
  isClosed: boolean;
  connection: Connection | undefined;
}

/** A port that accepts three connections and sends nothing. */
async function openPort() {
  const server = createServer();
  const limit = limitConnections(server, MAX);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const opened: Client[] = [];
  onTestFinished(() => {
    for (const { socket } of opened) socket.destroy();
    server.close();
  });
  return {
    opened,
    /** Must be awaited before the next connection, so that their order is known. */
    async open() {
      const accepted = once(server, 'connection');
      const socket = connect(port, '127.0.0.1').on('error', () => {});
      const [served] = (await accepted) as [Socket];
      const client: Client = { socket, served, isClosed: false, connection: limit.of(served) };
      socket.resume().once('close', () => {
        client.isClosed = true;
      });
      opened.push(client);
      return client;
    },
  };
}

const closedOf = async (opened: readonly { isClosed: boolean }[], count: number) => {
  await waitFor(() => expect(opened.filter(({ isClosed }) => isClosed)).toHaveLength(count));
  return opened.map(({ isClosed }) => isClosed);
};

it('closes the oldest connection without an accepted call, even if it had refused calls', async () => {
  const port = await openPort();
  const known = await port.open();
  known.connection?.identified();
  const stranger = await port.open();
  // Stands for a refused call or a request for /livez.
  stranger.connection?.callBegins();
  stranger.connection?.callEnds();
  await port.open();
  await port.open();
  expect(await closedOf(port.opened, 1)).toEqual([false, true, false, false]);
});

it('closes the connection that is idle longest when all have had an accepted call', async () => {
  const port = await openPort();
  for (let index = 0; index < MAX; index++) {
    const { connection } = await port.open();
    connection?.identified();
    connection?.callBegins();
    connection?.callEnds();
  }
  // The first connection is used again. The second connection has a call under way.
  port.opened[0]?.connection?.callBegins();
  port.opened[0]?.connection?.callEnds();
  port.opened[1]?.connection?.callBegins();
  await port.open();
  expect(await closedOf(port.opened, 1)).toEqual([false, false, true, false]);
});

it('closes the new connection when all others have a call under way', async () => {
  const port = await openPort();
  for (let index = 0; index < MAX; index++) {
    const { connection } = await port.open();
    connection?.identified();
    connection?.callBegins();
  }
  await port.open();
  expect(await closedOf(port.opened, 1)).toEqual([false, false, false, true]);
});

it('does not count a connection that has closed', async () => {
  const port = await openPort();
  for (let index = 0; index < 3 * MAX; index++) {
    const { socket, served } = await port.open();
    const closed = once(served, 'close');
    socket.destroy();
    await closed;
  }
  for (let index = 0; index < MAX; index++) await port.open();
  // One connection more makes the server close one connection. If it had closed one before, two would be closed.
  await port.open();
  expect(await closedOf(port.opened.slice(-MAX - 1), 1)).toEqual([true, false, false, false]);
});
