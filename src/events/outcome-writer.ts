import { setTimeout as sleep } from 'node:timers/promises';
import { stepWork } from '../files/call.ts';
import type { EventQueue, EventRef } from '../files/ports/event-queue.ts';
import type { Pause } from './pauses.ts';

/** Deliveries that end within this time share a statement. A commit costs much more than one more row in it. */
const GATHER_MS = 20;

/** The pause before a statement that failed is repeated. */
const RETRY_PAUSE_MS = 1_000;

/** An event that has left the local queue. It has a pause unless the consumer acknowledged it. */
type EndedDelivery = EventRef & Partial<Pause> & { isAgain?: true };

interface OutcomeWriterOptions {
  events: Pick<EventQueue, 'acknowledgeEvents' | 'postponeEvents'>;
  onError: (error: unknown) => void;
}

/** Writes into Postgres how the deliveries ended. */
export interface OutcomeWriter {
  /** How many deliveries Postgres does not know of. */
  readonly waiting: number;
  acknowledge(event: EventRef): void;
  postpone(event: EventRef, pause: Pause): void;
  /** Resolves after everything was written, or after a last try. */
  stop(): Promise<void>;
}

/**
 * Gathers the outcomes of deliveries and writes them with one statement at a time. If Postgres does not answer, they wait
 * and are written later. If the process dies before that, the events are delivered again when their leases end.
 *
 * An outcome that a statement could not write is written once more, in the next statement. The lease of another instance
 * may have locked the row for a moment. Without the second try, the event would be delivered again when its lease ends.
 */
export function createOutcomeWriter({ events, onError }: OutcomeWriterOptions): OutcomeWriter {
  const unwritten: EndedDelivery[] = [];
  let writing: Promise<void> | undefined;
  let stopped = false;

  function add(event: EventRef, pause?: Pause): void {
    // The reference alone, so that the event with its file can be freed.
    const { userId, s3Key, revision } = event;
    unwritten.push({ userId, s3Key, revision, ...pause });
    writing ??= writeAll();
  }

  async function writeAll(): Promise<void> {
    while (unwritten.length > 0) {
      await sleep(GATHER_MS, undefined, { ref: false });
      const batch = [...unwritten];
      try {
        const missed = await write(batch);
        // Not before: `waiting` also counts the deliveries of a statement that hangs.
        unwritten.splice(0, batch.length);
        for (const event of missed) if (!event.isAgain) unwritten.push({ ...event, isAgain: true });
      } catch (error) {
        onError(error);
        if (stopped) break;
        await sleep(RETRY_PAUSE_MS, undefined, { ref: false });
      }
    }
    writing = undefined;
  }

  /** Returns the events whose rows were locked, or have a newer revision. */
  async function write(batch: readonly EndedDelivery[]): Promise<EndedDelivery[]> {
    const acknowledged = batch.filter((event) => !isPostponed(event));
    const postponed = batch.filter(isPostponed);
    return [
      ...(acknowledged.length > 0 ? await events.acknowledgeEvents(stepWork(), acknowledged) : []),
      ...(postponed.length > 0 ? await events.postponeEvents(stepWork(), postponed) : []),
    ];
  }

  return {
    get waiting() {
      return unwritten.length;
    },
    acknowledge: (event) => add(event),
    postpone: add,
    async stop() {
      stopped = true;
      await writing;
    },
  };
}

function isPostponed(event: EndedDelivery): event is EndedDelivery & Pause {
  return event.pauseSeconds !== undefined;
}
