import type { Deadline } from '../deadline.ts';
import type { DueFile, FileStore } from '../ports.ts';
import type { Swept } from './sweep.ts';

export interface SweeperOptions {
  store: Pick<FileStore, 'leaseDue' | 'reschedule' | 'oldestOverdueSeconds'>;
  sweepOne: (due: DueFile, deadline: Deadline) => Promise<Swept>;
  /** The pause when nothing is due. */
  intervalSeconds: number;
  onSwept: (outcome: Swept | 'failed') => void;
  onOverdue: (seconds: number) => void;
  onError: (error: unknown) => void;
}

export interface Sweeper {
  start(): void;
  /** Ends between two steps; what is claimed comes due again. */
  stop(): Promise<void>;
  /** One round now: everything that is due, of any user. @returns how many rows it brought a step further */
  sweep(): Promise<number>;
}

/** Rows a round claims at once: few enough to finish well within the lease. */
const BATCH_ROWS = 50;

/** At once against S3; the calls of users go before. */
const STEPS_AT_ONCE = 8;

/** How long a claim keeps other sweepers away: many times what a batch needs. */
const LEASE_SECONDS = 60;

/** For a claim, and for one row's step. */
const STEP_TIMEOUT_MS = 5_000;

/**
 * Runs in every instance at once; `leaseDue` gives each its own rows. Its pauses
 * are drawn at random around the interval, so that instances started together
 * do not ask together.
 */
export function createSweeper(options: SweeperOptions): Sweeper {
  const { store, sweepOne, intervalSeconds, onSwept, onOverdue, onError } = options;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<unknown> = Promise.resolve();
  let stopped = false;

  async function sweep(): Promise<number> {
    let swept = 0;
    while (!stopped) {
      const leaseEnd = Date.now() + LEASE_SECONDS * 1_000;
      const batch = await store.leaseDue(BATCH_ROWS, LEASE_SECONDS, Date.now() + STEP_TIMEOUT_MS);
      const queue = inTurns(batch).values();
      const lanes = Array.from({ length: STEPS_AT_ONCE }, () => lane(queue, leaseEnd));
      const done = (await Promise.all(lanes)).reduce((sum, n) => sum + n, 0);
      swept += done;
      // Less than a batch: that was all. And where nothing succeeds, S3 is out: a
      // backlog is not worn through against it, it waits for the next round.
      if (batch.length < BATCH_ROWS || done === 0) break;
    }
    return swept;
  }

  /** @returns how many rows it brought a step further */
  async function lane(queue: Iterable<DueFile>, leaseEnd: Deadline): Promise<number> {
    let done = 0;
    for (const due of queue) {
      // A process that was frozen wakes up with rows that are another's by now.
      if (stopped || Date.now() >= leaseEnd) break;
      try {
        onSwept(await sweepOne(due, Math.min(Date.now() + STEP_TIMEOUT_MS, leaseEnd)));
        done++;
      } catch (error) {
        onSwept('failed');
        onError(error);
        // Its pause grows as after a look in vain; without this, the lease has to pass.
        const ref = due.state === 'deleted' ? due.ref : due.file;
        await store.reschedule(ref, Math.min(Date.now() + STEP_TIMEOUT_MS, leaseEnd)).catch(onError);
      }
    }
    return done;
  }

  async function round(): Promise<void> {
    try {
      onOverdue(await store.oldestOverdueSeconds(Date.now() + STEP_TIMEOUT_MS));
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
    sweep,
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}

/** One row of each user, then the second of each: what one user's rows take in S3 is not waited for by the others. */
export function inTurns(batch: readonly DueFile[]): DueFile[] {
  const lines = [...Map.groupBy(batch, userOf).values()];
  const longest = Math.max(0, ...lines.map((line) => line.length));
  return Array.from({ length: longest }, (_, turn) =>
    lines.flatMap((line) => line.slice(turn, turn + 1)),
  ).flat();
}

function userOf(due: DueFile): string {
  return due.state === 'deleted' ? due.ref.userId : due.file.userId;
}
