import { setTimeout as sleep } from 'node:timers/promises';
import { fromJsonString } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { DeliverFileEventRequestSchema } from '../../gen/files/v1/file_events_service_pb.ts';
import { type ReceivedPost, startHttpConsumer } from './http-consumer.ts';
import { openQueuedEvents } from './queued-events.ts';

const DRAINED = { timeout: 20_000, interval: 50 };

function keyOf({ headers }: ReceivedPost): string {
  return String(headers['ce-subject']);
}

describe('a dispatcher', () => {
  it('delivers each event once, with one lease for 100 events and one acknowledgement for many', async () => {
    await using queue = await openQueuedEvents();
    for (let user = 0; user < 10; user++) await queue.add(`user${user}`, 300);
    await using consumer = await startHttpConsumer();
    const start = performance.now();
    await using running = await queue.start(consumer.url);
    await expect.poll(queue.undelivered, DRAINED).toBe(0);
    const milliseconds = performance.now() - start;
    expect(consumer.received.length).toBe(3_000);
    expect(new Set(consumer.received.map(keyOf)).size).toBe(3_000);
    expect(running.statements.get('lease_events')).toBeLessThan(45);
    // Deliveries that end within 20 ms share an acknowledgement.
    expect(running.statements.get('acknowledge_events')).toBeLessThan(milliseconds / 20 + 2);
    expect(running.statementsAtOnce).toBeLessThanOrEqual(2);
    expect(running.outcomes).toEqual({ delivered: 3_000, refused: 0, unanswered: 0, unreachable: 0 });
    expect([running.errors, running.outages]).toEqual([[], []]);
  });

  it('delivers an event at once when it is nudged, and after a pause otherwise', async () => {
    await using queue = await openQueuedEvents();
    await using consumer = await startHttpConsumer();
    await using running = await queue.start(consumer.url);
    const tookMs: number[] = [];
    for (let n = 0; n < 3; n++) {
      await sleep(20);
      await queue.add('nudged', 1, n);
      const start = performance.now();
      running.dispatcher.nudge();
      await expect.poll(() => consumer.received.length, { interval: 2 }).toBe(n + 1);
      tookMs.push(performance.now() - start);
    }
    // Without the nudges, each event would wait for the next poll: 0.5 to 1.5 s after the lease before.
    expect(Math.min(...tookMs)).toBeLessThan(400);
    await queue.add('polled', 1);
    await expect.poll(() => consumer.received.length).toBe(4);
  });

  it('makes one lease of many nudges', async () => {
    await using queue = await openQueuedEvents();
    await using consumer = await startHttpConsumer();
    await using running = await queue.start(consumer.url);
    await sleep(100);
    const before = running.statements.get('lease_events') ?? 0;
    const startMs = performance.now();
    while (performance.now() < startMs + 500) {
      running.dispatcher.nudge();
      await sleep(1);
    }
    // At most one in 20 ms.
    const leasesMax = (performance.now() - startMs) / 20 + 2;
    expect((running.statements.get('lease_events') ?? 0) - before).toBeLessThanOrEqual(leasesMax);
  });

  it('shares the events with the dispatchers of other instances', async () => {
    await using queue = await openQueuedEvents();
    await queue.add('alice', 1_000);
    await using consumer = await startHttpConsumer();
    await using one = await queue.start(consumer.url);
    await using two = await queue.start(consumer.url);
    await expect.poll(queue.undelivered, DRAINED).toBe(0);
    expect(one.outcomes.delivered + two.outcomes.delivered).toBe(1_000);
    expect(Math.min(one.outcomes.delivered, two.outcomes.delivered)).toBeGreaterThan(0);
  });

  it('lets users take turns, so a backlog of one user delays no other user', async () => {
    await using queue = await openQueuedEvents();
    await queue.add('with-a-backlog', 3_000);
    await using consumer = await startHttpConsumer((_, response) => setTimeout(() => response.end(), 20));
    await using _ = await queue.start(consumer.url);
    await expect.poll(() => consumer.received.length).toBeGreaterThan(100);
    const before = consumer.received.length;
    await queue.add('with-one-event', 1);
    const position = () => consumer.received.findIndex((post) => keyOf(post).startsWith('with-one-event'));
    await expect.poll(position, DRAINED).toBeGreaterThan(0);
    // What was leased before, and the share of the other user in one more lease.
    expect(position() - before).toBeLessThan(400);
  });

  it('does not acknowledge an event whose file changed during the delivery', async () => {
    await using queue = await openQueuedEvents();
    await queue.add('alice', 1);
    let changes = 0;
    await using consumer = await startHttpConsumer(async (_, response) => {
      if (changes++ === 0) {
        await queue.pool.query(
          `update files set revision = revision + 10, mime_type = 'text/html', event_due_at = now()`,
        );
      }
      response.end();
    });
    await using _ = await queue.start(consumer.url);
    await expect.poll(queue.undelivered, DRAINED).toBe(0);
    const messages = consumer.received.map(({ body }) =>
      fromJsonString(DeliverFileEventRequestSchema, body.toString()),
    );
    expect(messages.map(({ file }) => file?.mimeType)).toEqual(['text/plain', 'text/html']);
    expect(messages[1]?.revision).toBe((messages[0]?.revision ?? 0n) + 10n);
  });

  it('reports the age of the oldest event', async () => {
    await using queue = await openQueuedEvents();
    await queue.add('alice', 1);
    await queue.pool.query('update files set revision = revision - 100000000');
    await using consumer = await startHttpConsumer((_, response) => response.writeHead(500).end());
    await using running = await queue.start(consumer.url);
    await expect.poll(() => running.ageSeconds).toBeGreaterThan(99);
    expect(running.ageSeconds).toBeLessThan(130);
  });
});

describe('an event that the consumer never takes', () => {
  it('waits 1, 4, 16 s and so on, and delays no other event', async () => {
    await using queue = await openQueuedEvents();
    await queue.add('poison', 1);
    await using consumer = await startHttpConsumer((request, response) => {
      response.writeHead(request.headers['ce-subject'] === 'poison_0' ? 500 : 200).end();
    });
    await using running = await queue.start(consumer.url);
    for (const [n, pause] of [1, 4, 16, 64, 256].entries()) {
      await queue.add('healthy', 50, n * 50);
      running.dispatcher.nudge();
      await expect.poll(() => running.outcomes.delivered, DRAINED).toBe((n + 1) * 50);
      const poison = async () => (await queue.rows()).find(({ s3_key }) => s3_key === 'poison_0');
      await expect.poll(async () => (await poison())?.event_attempts, DRAINED).toBe(n + 1);
      const due = (await poison())?.due_in ?? 0;
      expect(due).toBeLessThanOrEqual(pause);
      expect(due).toBeGreaterThan(pause * 0.75 - 1.5);
      // The acknowledgements are written before the leases of the events could end.
      await expect.poll(queue.undelivered, DRAINED).toBe(1);
      await queue.passTime(pause);
    }
    expect([running.outages, running.errors]).toEqual([[], []]);
  });

  it('is retried about every ten seconds if there is no other event, and delays a new event by nothing', async () => {
    await using queue = await openQueuedEvents();
    await queue.add('poison', 1);
    await using consumer = await startHttpConsumer((request, response) => {
      response.writeHead(request.headers['ce-subject'] === 'poison_0' ? 500 : 200).end();
    });
    await using running = await queue.start(consumer.url);
    for (let n = 1; n <= 15; n++) {
      await expect.poll(() => running.outcomes.refused, DRAINED).toBe(n);
      await sleep(50);
      await queue.passTime(20);
      running.dispatcher.nudge();
    }
    await queue.add('healthy', 1);
    const start = performance.now();
    running.dispatcher.nudge();
    await expect.poll(() => running.outcomes.delivered, { interval: 5 }).toBe(1);
    expect(performance.now() - start).toBeLessThan(500);
  });
});

describe('the stop', () => {
  it('lets running deliveries end, delivers no more, and gives the rest to other instances at once', async () => {
    await using queue = await openQueuedEvents();
    await queue.add('alice', 300);
    await using consumer = await startHttpConsumer((_, response) => setTimeout(() => response.end(), 1_000));
    const running = await queue.start(consumer.url);
    await expect.poll(() => consumer.received.length).toBe(4);
    const start = performance.now();
    await running[Symbol.asyncDispose]();
    // The deliveries end after a second. Those of a consumer that hangs get 6 s.
    expect(performance.now() - start).toBeLessThan(4_000);
    expect([consumer.received.length, await queue.undelivered()]).toEqual([4, 296]);
    const late = (await queue.rows()).filter(({ due_in }) => (due_in ?? 0) > 2);
    expect(late).toEqual([]);
  });

  it('ends within the grace of six seconds if the consumer hangs', async () => {
    await using queue = await openQueuedEvents();
    await queue.add('alice', 300);
    await using consumer = await startHttpConsumer(() => undefined);
    const running = await queue.start(consumer.url);
    await expect.poll(() => consumer.received.length).toBe(4);
    const start = performance.now();
    await running[Symbol.asyncDispose]();
    expect(performance.now() - start).toBeLessThan(6_000);
    expect(running.outcomes.unanswered).toBe(4);
  });
});
