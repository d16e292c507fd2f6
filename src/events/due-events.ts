import { stepWork } from '../files/call.ts';
import type { EventQueue, FileEvent } from '../files/ports/event-queue.ts';

/** How often the dispatcher searches for the oldest event. In between, each lease begins at the time of the last search. */
const SEARCH_INTERVAL_MS = 1_000;

/**
 * How often a search begins at the start of the queue, and not where the last search ended, as in
 * `src/files/maintenance/sweeper.ts`: such a search reads the index entries of all events that were acknowledged and
 * that Postgres cannot remove yet.
 */
const FULL_SEARCH_INTERVAL_MS = 60_000;

/** How long a lease keeps other instances away. The local queue is emptied in a fraction of it. */
export const LEASE_SECONDS = 60;

export interface DueEvents {
  /** Leases due events, users in turn, the oldest event of each user first. */
  lease(limit: number): Promise<FileEvent[]>;
}

/** Leases events from the place in the queue where the last search found the oldest event. */
export function createDueEvents(
  events: Pick<EventQueue, 'leaseEvents' | 'findOldestEvent'>,
  onOldest: (ageSeconds: number) => void,
): DueEvents {
  let dueFrom: Date | undefined;
  let nextSearchMs = 0;
  let nextFullSearchMs = 0;

  async function search(): Promise<void> {
    const nowMs = performance.now();
    if (nowMs < nextSearchMs) return;
    nextSearchMs = nowMs + SEARCH_INTERVAL_MS;
    const isFull = nowMs >= nextFullSearchMs;
    // Set before the search: a full search that fails each time must not keep the dispatcher from its work.
    if (isFull) nextFullSearchMs = nowMs + FULL_SEARCH_INTERVAL_MS;
    const oldest = await events.findOldestEvent(stepWork(), isFull ? undefined : dueFrom);
    dueFrom = oldest.dueFrom;
    onOldest(oldest.ageSeconds);
  }

  return {
    async lease(limit) {
      await search();
      const leased = await events.leaseEvents(stepWork(), limit, LEASE_SECONDS, dueFrom);
      return inTurns(leased);
    },
  };
}

/** Orders events in rounds: the oldest event of each user, then the second event of each user, and so on. */
export function inTurns(leased: readonly FileEvent[]): FileEvent[] {
  const byAge = leased.toSorted((a, b) => a.revision - b.revision);
  const rounds = new Map<string, number>();
  const withRound = byAge.map((event) => {
    const round = rounds.get(event.userId) ?? 0;
    rounds.set(event.userId, round + 1);
    return { event, round };
  });
  // The sort is stable, so events of one round stay in the order of their age.
  return withRound.sort((a, b) => a.round - b.round).map(({ event }) => event);
}
