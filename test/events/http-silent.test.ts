import { expect, it } from 'vitest';
import { eventToProto } from '../../src/events/event-message.ts';
import { createHttpTransport } from '../../src/events/transports/http.ts';
import { startFirewall } from '../harness/firewall.ts';
import { startHttpConsumer } from './http-consumer.ts';
import { sampleEvent } from './sample.ts';

const MESSAGE = eventToProto(sampleEvent());

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
