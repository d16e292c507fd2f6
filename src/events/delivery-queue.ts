import type { FileEvent } from '../files/ports/event-queue.ts';

/** An event, and when its lease ends, by `performance.now()`. After that, another instance may deliver it. */
interface LeasedEvent {
  event: FileEvent;
  leaseEndMs: number;
}

interface DeliveryQueueOptions {
  /** How many deliveries may run now. It may change at any time. */
  deliveriesMax: () => number;
  /** Must not reject. */
  deliver: (event: FileEvent) => Promise<void>;
  /** Called whenever a delivery has ended, after the next one has begun. */
  onEnd: () => void;
}

/** The local queue of leased events, and the deliveries that run at the same time. */
interface DeliveryQueue {
  /** How many events wait for their delivery. */
  readonly waiting: number;
  add(leased: readonly LeasedEvent[]): void;
  /** Takes all waiting events out of the queue. */
  takeAll(): FileEvent[];
  /** Resolves when no delivery is running. */
  ended(): Promise<void>;
}

/** Each delivery that ends makes room for the next one, so a slow delivery holds up none but itself. */
export function createDeliveryQueue({ deliveriesMax, deliver, onEnd }: DeliveryQueueOptions): DeliveryQueue {
  let queue: LeasedEvent[] = [];
  const running = new Set<Promise<void>>();

  function fill(): void {
    while (running.size < deliveriesMax()) {
      const next = queue.shift();
      if (next === undefined) return;
      if (performance.now() < next.leaseEndMs) begin(next.event);
    }
  }

  function begin(event: FileEvent): void {
    const delivery: Promise<void> = deliver(event).finally(() => {
      running.delete(delivery);
      fill();
      onEnd();
    });
    running.add(delivery);
  }

  return {
    get waiting() {
      return queue.length;
    },
    add(leased) {
      queue.push(...leased);
      fill();
    },
    takeAll() {
      const events = queue.map(({ event }) => event);
      queue = [];
      return events;
    },
    async ended() {
      while (running.size > 0) await Promise.all(running);
    },
  };
}
