import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { createDispatcher } from '../../src/events/dispatcher.ts';
import type { EventQueue, FileEvent } from '../../src/files/ports/event-queue.ts';
import { sampleEvent } from './sample.ts';

/** A dispatcher whose lease takes long and finds these events. The consumer takes every event. */
function startDispatcher(leased: readonly FileEvent[]) {
  const lease = Promise.withResolvers<void>();
  const delivered: string[] = [];
  const postponed: string[] = [];
  const events: Pick<EventQueue, 'leaseEvents' | 'acknowledgeEvents' | 'postponeEvents' | 'findOldestEvent'> =
    {
      findOldestEvent: async () => ({ ageSeconds: 0, dueFrom: new Date(0) }),
      async leaseEvents() {
        await lease.promise;
        return [...leased];
      },
      acknowledgeEvents: async () => [],
      async postponeEvents(_, refs) {
        postponed.push(...refs.map(({ s3Key }) => s3Key));
        return [];
      },
    };
  const dispatcher = createDispatcher({
    events,
    transport: {
      async deliver({ eventId }) {
        delivered.push(eventId);
        return { outcome: 'delivered', reason: '' };
      },
      close: () => undefined,
    },
    onOutcome: () => undefined,
    onOldest: () => undefined,
    onOutage: () => undefined,
    onError: (error) => {
      throw error;
    },
  });
  dispatcher.start();
  return { dispatcher, answerLease: lease.resolve, delivered, postponed };
}

it('events that a lease returns after the stop are left to other instances and not delivered', async () => {
  const event = sampleEvent();
  const { dispatcher, answerLease, delivered, postponed } = startDispatcher([event]);
  await sleep(20);
  const stopped = dispatcher.stop();
  answerLease();
  await stopped;
  expect(delivered).toEqual([]);
  expect(postponed).toEqual([event.s3Key]);
});
