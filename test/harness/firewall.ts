import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A firewall before a server on loopback. When it forgets its connections, no packet of them arrives any more. */
export async function startFirewall(serverPort: number) {
  const pairs: [Socket, Socket][] = [];
  const server = createServer((socket) => {
    const onward = connect(serverPort, '127.0.0.1').on('error', () => undefined);
    socket.on('error', () => undefined);
    socket.pipe(onward).pipe(socket);
    pairs.push([socket, onward]);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`),
    forget() {
      for (const [socket, onward] of pairs) {
        socket.unpipe(onward);
        onward.unpipe(socket);
        socket.resume();
      }
    },
    async [Symbol.asyncDispose]() {
      for (const socket of pairs.flat()) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
