import { expect, it } from 'vitest';
import { createLanes } from '../../src/events/lanes.ts';
import { createSettlements } from '../../src/events/settlements.ts';
import type { EventQueue } from '../../src/files/ports/event-queue.ts';
import { startHttpConsumer } from './http-consumer.ts';
import { openQueuedEvents } from './queued-events.ts';
import { sampleEvent } from './sample.ts';

/** A queue whose acknowledgements fail until `recover` is called. */
function failingAcknowledgements() {
  let isFailing = true;
  return {
    recover: () => {
      isFailing = false;
    },
    change: (queue: EventQueue): EventQueue => ({
      ...queue,
      acknowledgeEvents: async (work, events) => {
        if (isFailing) throw new Error('Postgres takes no writes');
        return queue.acknowledgeEvents(work, events);
      },
    }),
  };
}

it('acknowledgements that Postgres did not take are repeated, and no event is delivered again', async () => {
  await using queue = await openQueuedEvents();
  await queue.add('alice', 50);
  await using consumer = await startHttpConsumer();
  const { change, recover } = failingAcknowledgements();
  await using running = await queue.start(consumer.url, undefined, change);
  await expect.poll(() => running.errors.length, { timeout: 5_000 }).toBeGreaterThan(1);
  expect(await queue.undelivered()).toBe(50);
  recover();
  await expect.poll(queue.undelivered, { timeout: 5_000 }).toBe(0);
  expect(consumer.received.length).toBe(50);
});

it('while Postgres takes no acknowledgements, at most a few hundred events are delivered', async () => {
  await using queue = await openQueuedEvents();
  await queue.add('alice', 2_000);
  await using consumer = await startHttpConsumer();
  const { change, recover } = failingAcknowledgements();
  await using running = await queue.start(consumer.url, undefined, change);
  await expect.poll(() => running.errors.length, { timeout: 10_000 }).toBeGreaterThan(3);
  // 500 that Postgres does not know of, and the local queue.
  expect(running.outcomes.delivered).toBeLessThan(800);
  recover();
  await expect.poll(queue.undelivered, { timeout: 20_000 }).toBe(0);
  expect(consumer.received.length).toBe(2_000);
});

it('deliveries that end within 20 ms are acknowledged together', async () => {
  const batches: number[] = [];
  const settlements = createSettlements({
    events: {
      acknowledgeEvents: async (_, events) => void batches.push(events.length),
      postponeEvents: async () => undefined,
    },
    onError: (error) => expect.fail(String(error)),
  });
  for (let n = 0; n < 5; n++) {
    settlements.acknowledge(sampleEvent());
    await new Promise((resolve) => setImmediate(resolve));
  }
  await settlements.stop();
  expect(batches).toEqual([5]);
});

it('an event whose lease has ended in the local queue is left to the instance that leases it next', async () => {
  const delivered: string[] = [];
  const lanes = createLanes({
    deliveriesMax: () => 1,
    deliver: async ({ userId }) => void delivered.push(userId),
    onEnd: () => undefined,
  });
  const nowMs = performance.now();
  lanes.add([
    { event: sampleEvent({ userId: 'leased' }), leaseEndMs: nowMs + 60_000 },
    { event: sampleEvent({ userId: 'ended' }), leaseEndMs: nowMs },
    { event: sampleEvent({ userId: 'next' }), leaseEndMs: nowMs + 60_000 },
  ]);
  await lanes.ended();
  expect([delivered, lanes.waiting]).toEqual([['leased', 'next'], 0]);
});
