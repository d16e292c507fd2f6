import { stepWork } from '../files/call.ts';
import type { EventQueue, FileEvent } from '../files/ports/event-queue.ts';
import { inTurns } from '../files/queue/in-turns.ts';
import { createOldestSearch } from '../files/queue/oldest-search.ts';

/** How often the dispatcher searches for the oldest event. In between, each lease begins at the time of the last search. */
const SEARCH_INTERVAL_MS = 1_000;

/** How long a lease keeps other instances away. The local queue is emptied in a fraction of it. */
export const LEASE_SECONDS = 60;

interface DueEvents {
  /** Leases due events, users in turn, the oldest event of each user first. */
  lease(limit: number): Promise<FileEvent[]>;
}

/** Leases events from the place in the queue where the last search found the oldest event. */
export function createDueEvents(
  events: Pick<EventQueue, 'leaseEvents' | 'findOldestEvent'>,
  onOldest: (ageSeconds: number) => void,
): DueEvents {
  const oldest = createOldestSearch((work, dueFrom) => events.findOldestEvent(work, dueFrom));
  let nextSearchMs = 0;

  async function search(): Promise<void> {
    const nowMs = performance.now();
    if (nowMs < nextSearchMs) return;
    nextSearchMs = nowMs + SEARCH_INTERVAL_MS;
    onOldest((await oldest.search()).ageSeconds);
  }

  return {
    async lease(limit) {
      await search();
      const leased = await events.leaseEvents(stepWork(), limit, LEASE_SECONDS, oldest.dueFrom);
      return oldestInTurns(leased);
    },
  };
}

/** The oldest event of each user, then the second event of each user, and so on. */
export function oldestInTurns(leased: readonly FileEvent[]): FileEvent[] {
  const byAge = leased.toSorted((a, b) => a.revision - b.revision);
  return inTurns(byAge, ({ userId }) => userId);
}
