import { expect, it, vi } from 'vitest';
import { createOutcomeWriter } from '../../src/events/outcome-writer.ts';
import type { EventQueue, EventRef } from '../../src/files/ports/event-queue.ts';
import { s3Key } from '../../src/files/rules/s3-key.ts';
import { waitFor } from '../harness/wait-for.ts';
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
  const outcomes = createOutcomeWriter({
    events: {
      acknowledgeEvents: async (_, events) => {
        batches.push(events.length);
        return [];
      },
      postponeEvents: async () => [],
    },
    onError: (error) => expect.fail(String(error)),
  });
  // Without a pause between them, because a busy machine could make any pause longer than 20 ms.
  for (let n = 0; n < 5; n++) outcomes.acknowledge(sampleEvent());
  await outcomes.stop();
  expect(batches).toEqual([5]);
});

it('deliveries are counted as unknown to Postgres until the statement about them has succeeded', async () => {
  const statements: PromiseWithResolvers<void>[] = [];
  const sizes: number[] = [];
  const errors: unknown[] = [];
  const outcomes = createOutcomeWriter({
    events: {
      acknowledgeEvents(_, events) {
        sizes.push(events.length);
        const statement = Promise.withResolvers<void>();
        statements.push(statement);
        return statement.promise.then(() => []);
      },
      postponeEvents: async () => [],
    },
    onError: (error) => errors.push(error),
  });
  outcomes.acknowledge(sampleEvent());
  await waitFor(() => expect(statements).toHaveLength(1));
  outcomes.acknowledge(sampleEvent());
  expect(outcomes.waiting).toBe(2);
  statements[0]?.reject(new Error('Postgres takes no writes'));
  await vi.waitFor(() => expect(statements).toHaveLength(2), 3_000);
  expect(outcomes.waiting).toBe(2);
  statements[1]?.resolve();
  await waitFor(() => expect(outcomes.waiting).toBe(0));
  expect(sizes).toEqual([1, 2]);
  expect(errors).toHaveLength(1);
});

it('an outcome whose row was locked is written once more, and not a third time', async () => {
  const acknowledged: string[][] = [];
  const postponed: string[][] = [];
  const keysOf = (events: readonly EventRef[]) => events.map(({ s3Key }) => s3Key);
  const outcomes = createOutcomeWriter({
    events: {
      acknowledgeEvents: async (_, events) => {
        acknowledged.push(keysOf(events));
        return events.filter(({ s3Key }) => s3Key === 'ada_locked');
      },
      postponeEvents: async (_, events) => {
        postponed.push(keysOf(events));
        return postponed.length === 1 ? [...events] : [];
      },
    },
    onError: (error) => expect.fail(String(error)),
  });
  const event = (name: string) => sampleEvent({ s3Key: s3Key('ada', name) });
  for (const name of ['locked', 'free']) outcomes.acknowledge(event(name));
  outcomes.postpone(event('postponed'), { pauseSeconds: 1, isCounted: true });
  await waitFor(() => expect(outcomes.waiting).toBe(0));
  await outcomes.stop();
  expect(acknowledged).toEqual([['ada_locked', 'ada_free'], ['ada_locked']]);
  expect(postponed).toEqual([['ada_postponed'], ['ada_postponed']]);
});
