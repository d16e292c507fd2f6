import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import { describe, expect, it, vi } from 'vitest';
import type { Outcome } from '../../src/events/transports/transport.ts';
import { LONG } from '../harness/long-form.ts';
import { startGrpcConsumer } from './grpc-consumer.ts';
import { startHttpConsumer, startRawConsumer } from './http-consumer.ts';
import { openQueuedEvents } from './queued-events.ts';

vi.setConfig({ testTimeout: 60_000 });

/** A consumer that fails in some way until it is told to recover. */
interface FailingConsumer extends AsyncDisposable {
  url: URL;
  recover(): Promise<void>;
}

async function httpConsumer(fail: (response: ServerResponse) => void): Promise<FailingConsumer> {
  let isFailing = true;
  const consumer = await startHttpConsumer((_, response) => (isFailing ? fail(response) : response.end()));
  return {
    url: consumer.url,
    async recover() {
      isFailing = false;
    },
    [Symbol.asyncDispose]: () => consumer[Symbol.asyncDispose](),
  };
}

async function grpcConsumer(fail: (answer: (code: status) => void) => void): Promise<FailingConsumer> {
  let isFailing = true;
  const consumer = await startGrpcConsumer((_, answer) => (isFailing ? fail(answer) : answer(status.OK)));
  return {
    url: consumer.url,
    async recover() {
      isFailing = false;
    },
    [Symbol.asyncDispose]: () => consumer[Symbol.asyncDispose](),
  };
}

/** A port at which nothing listens until the consumer recovers. */
async function absentConsumer(): Promise<FailingConsumer> {
  const reserved = await startRawConsumer(() => undefined);
  await reserved[Symbol.asyncDispose]();
  let consumer: Awaited<ReturnType<typeof startGrpcConsumer>> | undefined;
  return {
    url: new URL(`grpc://${reserved.url.host}`),
    async recover() {
      consumer = await startGrpcConsumer(undefined, Number(reserved.url.port));
    },
    async [Symbol.asyncDispose]() {
      await consumer?.[Symbol.asyncDispose]();
    },
  };
}

const OUTAGES: [string, Outcome, () => Promise<FailingConsumer>][] = [
  ['answers 500', 'refused', () => httpConsumer((response) => response.writeHead(500).end())],
  ['answers 401', 'refused', () => httpConsumer((response) => response.writeHead(401).end())],
  ['resets connections', 'unreachable', () => httpConsumer((response) => response.socket?.resetAndDestroy())],
  ['hangs (HTTP)', 'unanswered', () => httpConsumer(() => undefined)],
  ['hangs (gRPC)', 'unanswered', () => grpcConsumer(() => undefined)],
  ['answers UNAVAILABLE', 'unreachable', () => grpcConsumer((answer) => answer(status.UNAVAILABLE))],
  ['answers UNAUTHENTICATED', 'refused', () => grpcConsumer((answer) => answer(status.UNAUTHENTICATED))],
  ['refuses connections', 'unreachable', absentConsumer],
];

describe('a consumer that', () => {
  it.each(LONG ? OUTAGES : OUTAGES.filter((_, n) => n % 2 === 0))(
    '%s for an hour gets everything after its return',
    async (_, outcome, open) => {
      await using queue = await openQueuedEvents();
      await queue.add('alice', 400);
      await queue.add('bob', 100);
      await using consumer = await open();
      await using running = await queue.start(consumer.url, 'a-token-of-the-consumer');
      await expect.poll(() => running.outages.length, { timeout: 10_000 }).toBe(1);
      await sleep(3_000);

      // The breaker is open: the first failures, what was under way then, and a probe from time to time.
      const tried = running.outcomes[outcome];
      expect(tried).toBeGreaterThanOrEqual(outcome === 'unanswered' ? 4 : 10);
      expect(tried).toBeLessThan(32 + 32 + 10);
      const rows = await queue.rows();
      expect(rows.filter(({ event_attempts }) => event_attempts > 1)).toEqual([]);
      expect(rows.filter(({ event_attempts }) => event_attempts === 1).length).toBeLessThanOrEqual(2);
      // The open breaker leases one event. A failed event waits for 20 s at most, and the others are due. A consumer
      // that hangs opens the breaker after half a minute, and has a short local queue until then.
      const leased = rows.filter(({ due_in }) => (due_in ?? 0) > 20.5);
      expect(leased.length).toBeLessThanOrEqual(outcome === 'unanswered' ? 24 : 1);

      await queue.passTime(3_600);
      await sleep(2_000);
      expect(running.outages.map((failure) => failure?.outcome)).toEqual([outcome]);
      await consumer.recover();
      // An event waits for 20 s at most, which is made shorter here, and a probe for 10 s.
      const returned = performance.now();
      using _faster = queue.hurry(5);
      await expect.poll(queue.undelivered, { timeout: 30_000, interval: 100 }).toBe(0);
      expect(performance.now() - returned).toBeLessThan(20_000);
      expect(running.outages.length).toBe(2);
      expect(running.outages[1]).toBeUndefined();
      expect(running.errors).toEqual([]);
      expect(running.statementsAtOnce).toBeLessThanOrEqual(2);
    },
  );

  it('works on one event after the other gets fewer at once, and each about once', async () => {
    await using queue = await openQueuedEvents();
    await queue.add('alice', 60);
    let line = Promise.resolve();
    await using consumer = await startHttpConsumer((_, response) => {
      line = line.then(() => sleep(200)).then(() => void response.end());
    });
    await using running = await queue.start(consumer.url);
    using _faster = queue.hurry(1);
    await expect.poll(queue.undelivered, { timeout: 40_000, interval: 100 }).toBe(0);
    // With 32 at once, the consumer would answer 7 of the first 32 events too late, and all of the next 25.
    expect(running.outcomes.unanswered).toBeLessThan(5);
    expect(consumer.received.length).toBeLessThan(65);
  });

  it('hangs holds no more than 200 leased events of a backlog', async () => {
    await using queue = await openQueuedEvents();
    await queue.add('alice', 5_000);
    await using consumer = await startHttpConsumer(() => undefined);
    await using _ = await queue.start(consumer.url);
    for (let n = 0; n < 5; n++) {
      await sleep(500);
      const leased = (await queue.rows()).filter(({ due_in }) => (due_in ?? 0) > 20);
      expect(leased.length).toBeLessThanOrEqual(200);
    }
  });
});
