/**
 * `src/files/maintenance` is the work that no caller waits for. The sweeper (this file: the loop; `sweep.ts`:
 * one step for one row) runs in every instance and finishes or removes what calls left unfinished.
 * `reconcile.ts` compares the whole table with the whole bucket when an operator asks for it. Code that runs
 * inside a call belongs into `src/files/operations`.
 */
import type { Call, Work } from '../call.ts';
import type { Deadline } from '../deadline.ts';
import type { FileStore } from '../ports/file-store.ts';
import type { DueFile } from '../ports/sweep-queue.ts';
import { refOf, type Swept } from './sweep.ts';

export interface SweeperOptions {
  store: Pick<FileStore, 'leaseDue' | 'reschedule' | 'findOldestDue'>;
  sweepOne: (call: Call, due: DueFile) => Promise<Swept>;
  /** The mean pause between two rounds. */
  intervalSeconds: number;
  onSwept: (outcome: Swept | 'failed') => void;
  onOverdue: (seconds: number) => void;
  onError: (error: unknown) => void;
}

export interface Sweeper {
  start(): void;
  /** Stops between two steps; leased rows come due again. */
  stop(): Promise<void>;
  /**
   * Sweeps all due rows of all users now.
   *
   * @returns how many rows a step has succeeded for
   */
  sweep(): Promise<number>;
}

/** Rows per lease: few enough that the batch ends well within the lease. */
const BATCH_ROWS = 50;

/** Concurrent steps against S3. The number is small so that calls of users take precedence. */
const STEPS_AT_ONCE = 8;

/** How long a lease keeps other sweepers away: many times the duration of a batch. */
const LEASE_SECONDS = 60;

/**
 * How often the sweeper searches all of the queue. In between, each search begins where the last one found
 * the oldest due row. A search of all is slow while a snapshot is held, as by `pg_dump`, because Postgres then
 * keeps the index entries of changed rows: 0.57 s after half a million changes. A row that came due before
 * the beginning of a search waits for the next search of all.
 */
const FULL_SEARCH_INTERVAL_MS = 60_000;

/** Time for one search, for one lease, and for the step of one row. */
const STEP_TIMEOUT_MS = 5_000;

/**
 * Runs in every instance at once; `leaseDue` gives each instance its own rows. The pauses are random around
 * the interval, so that instances that started together do not query Postgres at the same moments.
 */
export function createSweeper(options: SweeperOptions): Sweeper {
  const { store, intervalSeconds, onOverdue, onError } = options;
  let dueFrom: Date | undefined;
  let nextFullSearchMs = 0;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<unknown> = Promise.resolve();
  let stopped = false;

  async function searchOldestDue(): Promise<void> {
    const isFull = performance.now() >= nextFullSearchMs;
    // Set before the search, so that a search that fails does not keep the sweeper from its work for longer.
    if (isFull) nextFullSearchMs = performance.now() + FULL_SEARCH_INTERVAL_MS;
    const oldest = await store.findOldestDue(stepWork(), isFull ? undefined : dueFrom);
    dueFrom = oldest.dueFrom;
    onOverdue(oldest.overdueSeconds);
  }

  async function sweep(): Promise<number> {
    let swept = 0;
    while (!stopped) {
      // Before each batch, so that no lease passes the entries of the rows that the batches before changed.
      await searchOldestDue();
      const leaseEnd = Date.now() + LEASE_SECONDS * 1_000;
      const batch = await store.leaseDue(stepWork(), BATCH_ROWS, LEASE_SECONDS, dueFrom);
      const queue = roundRobin(batch).values();
      const isOver = () => stopped || Date.now() >= leaseEnd;
      const workers = Array.from({ length: STEPS_AT_ONCE }, () =>
        sweepRows(queue, options, leaseEnd, isOver),
      );
      const done = (await Promise.all(workers)).reduce((sum, n) => sum + n, 0);
      swept += done;
      // A batch that is not full was the last one. If no step succeeded, S3 is down: sweeping the backlog
      // would only fail, so the backlog waits for the next round.
      if (batch.length < BATCH_ROWS || done === 0) break;
    }
    return swept;
  }

  async function round(): Promise<void> {
    try {
      await sweep();
    } catch (error) {
      onError(error);
    }
    schedule();
  }

  function schedule(): void {
    if (stopped) return;
    const pauseMs = intervalSeconds * 1_000 * (0.5 + Math.random());
    timer = setTimeout(() => {
      running = round();
    }, pauseMs);
  }

  return {
    start: schedule,
    sweep() {
      nextFullSearchMs = 0;
      return sweep();
    },
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}

/**
 * Sweeps rows of the queue, one after the other, until the queue is empty.
 *
 * @param isOver whether the sweeper has stopped or the lease has ended: after a suspension of this process,
 *   another instance may have leased the rows
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
      // Rescheduling makes the row's pause grow, as after an unsuccessful verification. If it fails, the row
      // comes due when the lease ends.
      await store.reschedule(call(), s3Key).catch(onError);
    }
  }
  return done;
}

/**
 * Orders the rows in rounds: the first row of each user, then the second of each user, and so on. Users do
 * not wait for the time that another user's rows take in S3.
 */
export function roundRobin(batch: readonly DueFile[]): DueFile[] {
  const queues = [...Map.groupBy(batch, (due) => refOf(due).userId).values()];
  const longest = Math.max(0, ...queues.map((queue) => queue.length));
  return Array.from({ length: longest }, (_, round) =>
    queues.flatMap((queue) => queue.slice(round, round + 1)),
  ).flat();
}

function stepWork(): Work {
  return { deadline: Date.now() + STEP_TIMEOUT_MS };
}
