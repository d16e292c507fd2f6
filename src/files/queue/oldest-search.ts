/**
 * `src/files/queue` is what the sweeper (`../maintenance/sweeper.ts`) and the dispatcher (`src/events/dispatcher.ts`) have
 * in common: both lease due rows from a queue in Postgres. Where a queue begins and in which order rows are handled
 * belongs here. Leases belong in `../ports`, and the handling of a row belongs to the sweeper or the dispatcher.
 */
import { stepWork, type Work } from '../call.ts';

/**
 * How often the whole queue is searched for the oldest due row. In between, each search begins at the `dueFrom` of the
 * last search, which found no row that was due earlier.
 *
 * A search of the whole queue is slow while a transaction holds a snapshot, as `pg_dump` does. Postgres then keeps the old
 * index entries of changed rows, and the search reads all of them: 0.57 s after half a million changes. A row that comes
 * due before `dueFrom` is found only by the next search of the whole queue.
 */
const FULL_SEARCH_INTERVAL_MS = 60_000;

/** Remembers where the due rows of a queue begin. */
interface OldestSearch<Oldest> {
  /** From the last search: leases leave out rows that were due earlier. `undefined` before the first search. */
  readonly dueFrom: Date | undefined;
  search(): Promise<Oldest>;
  /** The next search begins at the start of the queue. */
  startOver(): void;
}

/** @param find finds the oldest due row, beginning at `dueFrom`. Without `dueFrom`, it searches the whole queue */
export function createOldestSearch<Oldest extends { dueFrom: Date }>(
  find: (work: Work, dueFrom?: Date) => Promise<Oldest>,
): OldestSearch<Oldest> {
  let dueFrom: Date | undefined;
  let nextFullSearchMs = 0;
  return {
    get dueFrom() {
      return dueFrom;
    },
    async search() {
      const nowMs = performance.now();
      const isFull = nowMs >= nextFullSearchMs;
      // Set before the search. If a full search fails, the next search begins at `dueFrom` (if known), so a full search
      // that fails each time does not keep the caller from its work.
      if (isFull) nextFullSearchMs = nowMs + FULL_SEARCH_INTERVAL_MS;
      const oldest = await find(stepWork(), isFull ? undefined : dueFrom);
      dueFrom = oldest.dueFrom;
      return oldest;
    },
    startOver() {
      nextFullSearchMs = 0;
    },
  };
}
