import { setTimeout as sleep } from 'node:timers/promises';
import { stepWork } from '../files/call.ts';
import type { EventQueue, EventRef } from '../files/ports/event-queue.ts';
import type { Pause } from './pauses.ts';

/** Deliveries that end within this time share a statement. A commit costs much more than one more row in it. */
const GATHER_MS = 20;

/** The pause before a statement that failed is repeated. */
const RETRY_PAUSE_MS = 1_000;

type SettledEvent = EventRef & Partial<Pause>;

export interface SettlementOptions {
  events: Pick<EventQueue, 'acknowledgeEvents' | 'postponeEvents'>;
  onError: (error: unknown) => void;
}

/** Tells Postgres how the deliveries ended. */
export interface Settlements {
  /** How many deliveries Postgres does not know of. */
  readonly waiting: number;
  acknowledge(event: EventRef): void;
  postpone(event: EventRef, pause: Pause): void;
  /** Resolves after everything was written, or after a last try. */
  stop(): Promise<void>;
}

/**
 * Gathers the ends of deliveries and writes them with one statement at a time. If Postgres does not answer, they wait
 * and are written later. If the process dies before that, the events are delivered again when their leases end.
 */
export function createSettlements({ events, onError }: SettlementOptions): Settlements {
  const settled: SettledEvent[] = [];
  let writing: Promise<void> | undefined;
  let stopped = false;

  function add(event: EventRef, pause?: Pause): void {
    // The reference alone, so that the event with its file can be freed.
    const { userId, s3Key, revision } = event;
    settled.push({ userId, s3Key, revision, ...pause });
    writing ??= writeAll();
  }

  async function writeAll(): Promise<void> {
    while (settled.length > 0) {
      await sleep(GATHER_MS, undefined, { ref: false });
      const batch = [...settled];
      try {
        await write(batch);
        // Not before: `waiting` also counts the deliveries of a statement that hangs.
        settled.splice(0, batch.length);
      } catch (error) {
        onError(error);
        if (stopped) break;
        await sleep(RETRY_PAUSE_MS, undefined, { ref: false });
      }
    }
    writing = undefined;
  }

  async function write(batch: readonly SettledEvent[]): Promise<void> {
    const acknowledged = batch.filter((event) => !isPostponed(event));
    if (acknowledged.length > 0) await events.acknowledgeEvents(stepWork(), acknowledged);
    const postponed = batch.filter(isPostponed);
    if (postponed.length > 0) await events.postponeEvents(stepWork(), postponed);
  }

  return {
    get waiting() {
      return settled.length;
    },
    acknowledge: (event) => add(event),
    postpone: add,
    async stop() {
      stopped = true;
      await writing;
    },
  };
}

function isPostponed(event: SettledEvent): event is EventRef & Pause {
  return event.pauseSeconds !== undefined;
}
