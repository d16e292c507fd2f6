import { expect, it } from 'vitest';
import { createDeliveryQueue } from '../../src/events/delivery-queue.ts';
import { sampleEvent } from './sample.ts';

it('an event whose lease has ended in the local queue is left to the instance that leases it next', async () => {
  const delivered: string[] = [];
  const deliveries = createDeliveryQueue({
    deliveriesMax: () => 1,
    deliver: async ({ userId }) => void delivered.push(userId),
    onEnd: () => undefined,
  });
  const nowMs = performance.now();
  deliveries.add([
    { event: sampleEvent({ userId: 'leased' }), leaseEndMs: nowMs + 60_000 },
    { event: sampleEvent({ userId: 'ended' }), leaseEndMs: nowMs },
    { event: sampleEvent({ userId: 'next' }), leaseEndMs: nowMs + 60_000 },
  ]);
  await deliveries.ended();
  expect([delivered, deliveries.waiting]).toEqual([['leased', 'next'], 0]);
});
