/**
 * `src/events` tells another service, the consumer, of each change of a file. The dispatcher (this file) leases due
 * events from the queue in Postgres, delivers them, and acknowledges or postpones them. It runs in every instance,
 * beside the sweeper. When, how often and to how many at once events are sent belongs here. What an event is belongs
 * in `src/files/ports/event-queue.ts`, and no operation of `src/files` knows of this folder.
 */
import type { EventQueue, FileEvent } from '../files/ports/event-queue.ts';
import { createConsumerHealth } from './consumer-health.ts';
import { createDeliver } from './deliver.ts';
import { createDeliveryQueue } from './delivery-queue.ts';
import { createDueEvents, LEASE_SECONDS } from './due-events.ts';
import { createOutcomeWriter } from './outcome-writer.ts';
import type { Delivery, Outcome, Transport } from './transports/transport.ts';
import { createWaits } from './waits.ts';

interface DispatcherOptions {
  events: Pick<EventQueue, 'leaseEvents' | 'acknowledgeEvents' | 'postponeEvents' | 'findOldestEvent'>;
  transport: Transport;
  onOutcome: (outcome: Outcome) => void;
  /** The age of the oldest event that is not acknowledged; about once a second. */
  onOldest: (ageSeconds: number) => void;
  /** The consumer takes no events any more. `undefined`: it takes events again. */
  onOutage: (failure: Delivery | undefined) => void;
  onError: (error: unknown) => void;
}

export interface Dispatcher {
  start(): void;
  /** An event has become due in this instance. Without a nudge, the dispatcher sees the event within about a second. */
  nudge(): void;
  /**
   * Leases no more events, and lets the deliveries that are running end: each has a time-out. The events of the local
   * queue come due again at once, for the other instances.
   */
  stop(): Promise<void>;
}

/** The most events that one lease takes. */
const LEASE_MAX = 100;

/** The mean pause between two leases from an empty queue. It varies at random, so that instances do not lease together. */
const POLL_PAUSE_MS = 1_000;

/** The least time between two leases that found less than they asked for. Nudges of that time share the next lease. */
const LEASE_GAP_MS = 20;

/**
 * With this many deliveries that Postgres does not know of, the dispatcher leases no more events. Postgres then takes no
 * writes, and would let the events come due again when their leases end.
 */
const UNWRITTEN_MAX = 500;

/** Events that wait in the local queue while the consumer fails. Other instances may reach it. */
const RELEASED = { pauseSeconds: 1, isCounted: false };

/** Creates a dispatcher. It uses at most two connections to Postgres at the same time. */
export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { events, transport, onError } = options;
  const health = createConsumerHealth(options.onOutage);
  const due = createDueEvents(events, options.onOldest);
  const outcomes = createOutcomeWriter({ events, onError });
  const deliver = createDeliver({ ...options, health, outcomes });
  const waits = createWaits();
  const deliveries = createDeliveryQueue({
    deliveriesMax: () => health.deliveriesMax,
    deliver,
    onEnd: waits.wake,
  });
  let isNudged = false;
  let running: Promise<void> = Promise.resolve();

  function release(released: readonly FileEvent[]): void {
    for (const event of released) outcomes.postpone(event, RELEASED);
  }

  /** While the breaker is open, events are sent as probes, one at a time, until the consumer takes one. */
  async function probe(): Promise<void> {
    release(deliveries.takeAll());
    await waits.until(health.nextProbeMs, () => !health.isOpen);
    if (!health.isOpen || waits.stopped) return;
    const [event] = await due.lease(1);
    if (event === undefined) return waits.until(performance.now() + POLL_PAUSE_MS);
    if (waits.stopped) release([event]);
    else await deliver(event);
  }

  const isFull = () => deliveries.waiting >= 2 * health.deliveriesMax || outcomes.waiting >= UNWRITTEN_MAX;

  /** Keeps the local queue filled, with a few events for each delivery that may run, as long as events are due. */
  async function feed(): Promise<void> {
    if (isFull()) return waits.until(performance.now() + POLL_PAUSE_MS, () => !isFull());
    const limit = Math.min(LEASE_MAX, 4 * health.deliveriesMax);
    const startMs = performance.now();
    isNudged = false;
    const leased = await due.lease(limit);
    if (waits.stopped) return release(leased);
    deliveries.add(leased.map((event) => ({ event, leaseEndMs: startMs + LEASE_SECONDS * 1_000 })));
    if (leased.length === limit) return;
    const pauseMs = POLL_PAUSE_MS * (0.5 + Math.random());
    await waits.until(performance.now() + pauseMs, () => isNudged);
    await waits.until(startMs + LEASE_GAP_MS);
  }

  async function run(): Promise<void> {
    while (!waits.stopped) {
      try {
        await (health.isOpen ? probe() : feed());
      } catch (error) {
        onError(error);
        await waits.until(performance.now() + POLL_PAUSE_MS);
      }
    }
  }

  return {
    start() {
      running = run();
    },
    nudge() {
      isNudged = true;
      waits.wake();
    },
    async stop() {
      waits.stop();
      release(deliveries.takeAll());
      await running;
      await deliveries.ended();
      await outcomes.stop();
      transport.close();
    },
  };
}
