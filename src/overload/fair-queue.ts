import type { Deadline } from '../files/deadline.ts';

/** A few turns at something that many want, one user after the other. */
export interface FairQueue {
  /** How many wait for theirs. */
  readonly waiting: number;
  /**
   * Runs when it is this user's turn, and passes the turn on when it has ended.
   *
   * @throws Error when its turn has not come by then; it has left the line and nothing was run
   */
  run<Result>(user: string, until: Deadline, run: () => Promise<Result>): Promise<Result>;
}

/**
 * Where all turns are taken, each user has a line of its own, and turns go from
 * line to line: a user with a hundred waiting costs the next one a single turn.
 * In one line for all, as a connection pool has it, it costs a hundred.
 */
export function createFairQueue(concurrencyMax: number): FairQueue {
  let free = concurrencyMax;
  let waiting = 0;
  /** Those who begin, by user. The map's order is that of the turns; nobody's line is empty. */
  const lines = new Map<string, Set<() => void>>();

  function pass(): void {
    for (const [user, line] of lines) {
      for (const begin of line) {
        remove(user, line, begin);
        // Behind all others, for the rest of its line.
        if (lines.delete(user)) lines.set(user, line);
        begin();
        return;
      }
    }
    free++;
  }

  function remove(user: string, line: Set<() => void>, begin: () => void): void {
    line.delete(begin);
    waiting--;
    if (line.size === 0) lines.delete(user);
  }

  function turnOf(user: string, until: Deadline): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const line = lines.get(user) ?? new Set();
    lines.set(user, line);
    const begin = () => {
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(() => {
      remove(user, line, begin);
      reject(new Error('too many were before it: its turn has not come in time'));
    }, until - Date.now());
    line.add(begin);
    waiting++;
    return promise;
  }

  return {
    get waiting() {
      return waiting;
    },
    async run(user, until, run) {
      // Where one is free, nobody waits.
      if (free > 0) free--;
      else await turnOf(user, until);
      try {
        return await run();
      } finally {
        pass();
      }
    },
  };
}
