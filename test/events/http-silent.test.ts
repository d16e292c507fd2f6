import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import { eventToProto } from '../../src/events/event-message.ts';
import { createHttpTransport } from '../../src/events/transports/http.ts';
import { startHttpConsumer } from './http-consumer.ts';
import { sampleEvent } from './sample.ts';

const MESSAGE = eventToProto(sampleEvent());

/** A firewall before the consumer. When it forgets its connections, no packet of them arrives any more. */
async function startFirewall(consumerPort: number) {
  const pairs: [Socket, Socket][] = [];
  const server = createServer((socket) => {
    const onward = connect(consumerPort, '127.0.0.1').on('error', () => undefined);
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

it('after a time-out on a connection that was idle, no other idle connection is used', async () => {
  await using consumer = await startHttpConsumer();
  await using firewall = await startFirewall(Number(consumer.url.port));
  const transport = createHttpTransport(firewall.url, undefined, 300);
  await Promise.all(Array.from({ length: 8 }, () => transport.deliver(MESSAGE)));
  firewall.forget();
  expect(await transport.deliver(MESSAGE)).toMatchObject({ outcome: 'unanswered' });
  expect(await transport.deliver(MESSAGE)).toMatchObject({ outcome: 'delivered' });
  transport.close();
});
