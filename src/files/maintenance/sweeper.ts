/**
 * `src/files/maintenance` is the work that no caller waits for. The sweeper (this file: the loop; `sweep.ts`:
 * one step for one row) runs in every instance and finishes or removes what calls left unfinished.
 * `reconcile.ts` compares the whole table with the whole bucket when an operator asks for it. Code that runs
 * inside a call belongs in `src/files/operations`.
 */
import { type Call, stepWork } from '../call.ts';
import type { Deadline } from '../deadline.ts';
import type { FileStore } from '../ports/file-store.ts';
import type { DueFile } from '../ports/sweep-queue.ts';
import { inTurns } from '../queue/in-turns.ts';
import { createOldestSearch } from '../queue/oldest-search.ts';
import { refOf, type Swept } from './sweep.ts';

export interface SweeperOptions {
  store: Pick<FileStore, 'leaseDue' | 'reschedule' | 'findOldestDue'>;
  sweepOne: (call: Call, due: DueFile) => Promise<Swept>;
  /** The mean pause between two rounds that nothing has asked for (`nudge`). */
  intervalSeconds: number;
  onSwept: (outcome: Swept | 'failed') => void;
  onOverdue: (seconds: number) => void;
  onError: (error: unknown) => void;
}

export interface Sweeper {
  start(): void;
  /**
   * Starts the next round now, because rows have just come due. If a round is running, another one follows. Many calls at
   * once cause one round. Does nothing before `start` and after `stop`.
   */
  nudge(): void;
  /**
   * Stops the sweeper as soon as the steps that are running have ended. A lease takes due rows for this
   * sweeper for LEASE_SECONDS. Leased rows that were not swept come due again when the lease ends.
   */
  stop(): Promise<void>;
  /**
   * Sweeps the due rows of all users now, until none is left, or until every step of a batch has failed.
   *
   * @returns how many rows a step has succeeded for
   */
  sweep(): Promise<number>;
}

/** How many rows one lease takes: so few that their steps usually end long before the lease ends. */
const BATCH_ROWS = 50;

/** Concurrent steps against S3. The number is small so that calls of users take precedence. */
const STEPS_AT_ONCE = 8;

/** How long a lease keeps other sweepers away from its rows: many times as long as a batch takes if S3 answers. */
const LEASE_SECONDS = 60;

/**
 * The shortest pause between two rounds. So a flood of nudges causes at most 50 rounds a second, each with two short
 * statements if nothing is due.
 */
const NUDGE_PAUSE_MS = 20;

/**
 * Creates a sweeper. Every instance of the service runs one; `leaseDue` gives each instance its own rows. The
 * pauses vary at random around `intervalSeconds`, so that instances that started together do not query
 * Postgres at the same moments.
 */
export function createSweeper(options: SweeperOptions): Sweeper {
  const { store, intervalSeconds, onOverdue, onError } = options;
  const oldest = createOldestSearch((work, dueFrom) => store.findOldestDue(work, dueFrom));
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<unknown> | undefined;
  let isNudged = false;
  let stopped = false;

  async function sweep(): Promise<number> {
    let swept = 0;
    while (!stopped) {
      // A new search runs before each batch, so that `dueFrom` advances. The batches before have changed rows
      // and left old index entries behind. With the old `dueFrom`, the lease would read all of these entries.
      onOverdue((await oldest.search()).overdueSeconds);
      const leaseEnd = Date.now() + LEASE_SECONDS * 1_000;
      const batch = await store.leaseDue(stepWork(), BATCH_ROWS, LEASE_SECONDS, oldest.dueFrom);
      const done = await sweepBatch(batch, options, leaseEnd, () => stopped);
      swept += done;
      // A batch that is not full has all due rows that this search could find. If no step of a full batch succeeded, S3
      // or Postgres is probably down, and further steps would fail too. The other due rows wait for the next round.
      if (batch.length < BATCH_ROWS || done === 0) break;
    }
    return swept;
  }

  async function round(): Promise<void> {
    isNudged = false;
    try {
      await sweep();
    } catch (error) {
      onError(error);
    }
    running = undefined;
    schedule(isNudged ? NUDGE_PAUSE_MS : usualPauseMs(intervalSeconds));
  }

  function schedule(pauseMs: number): void {
    if (stopped) return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      running = round();
    }, pauseMs);
  }

  return {
    start: () => schedule(usualPauseMs(intervalSeconds)),
    nudge() {
      // The timer is unset before `start`.
      if (timer === undefined || isNudged) return;
      isNudged = true;
      if (running === undefined) schedule(NUDGE_PAUSE_MS);
    },
    sweep() {
      oldest.startOver();
      return sweep();
    },
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}

function usualPauseMs(intervalSeconds: number): number {
  return intervalSeconds * 1_000 * (0.5 + Math.random());
}

/** @returns how many rows a step has succeeded for */
async function sweepBatch(
  batch: readonly DueFile[],
  options: SweeperOptions,
  leaseEnd: Deadline,
  isStopped: () => boolean,
): Promise<number> {
  const queue = inTurns(batch, (due) => refOf(due).userId).values();
  const isOver = () => isStopped() || Date.now() >= leaseEnd;
  const workers = Array.from({ length: STEPS_AT_ONCE }, () => sweepRows(queue, options, leaseEnd, isOver));
  return (await Promise.all(workers)).reduce((sum, n) => sum + n, 0);
}

/**
 * Sweeps rows of the queue, one after the other, until the queue is empty.
 *
 * @param isOver whether the sweeper has stopped or the lease has ended. The lease can end before the queue is
 *   empty if this process was suspended or S3 was slow. Another instance may then have leased the rows
 * @returns how many rows a step has succeeded for
 */
async function sweepRows(
  queue: Iterable<DueFile>,
  { store, sweepOne, onSwept, onError }: SweeperOptions,
  leaseEnd: Deadline,
  isOver: () => boolean,
): Promise<number> {
  let done = 0;
  for (const due of queue) {
    if (isOver()) break;
    const { userId, s3Key } = refOf(due);
    const call = (): Call => ({ userId, deadline: Math.min(stepWork().deadline, leaseEnd) });
    try {
      onSwept(await sweepOne(call(), due));
      done++;
    } catch (error) {
      onSwept('failed');
      onError(error);
      // Rescheduling makes the pause until the next step for this row grow, as after an unsuccessful
      // verification. If the rescheduling fails, the row comes due when the lease ends.
      await store.reschedule(call(), s3Key).catch(onError);
    }
  }
  return done;
}
