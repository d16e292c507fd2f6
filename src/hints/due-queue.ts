import type { Work } from '../files/call.ts';
import type { Deadline } from '../files/deadline.ts';
import type { OwnedKey } from '../files/rules/s3-key.ts';

export interface DueQueueOptions {
  /** Makes the pending rows of these files due now, in one statement. It is given at most FILES_PER_STATEMENT_MAX. */
  makeDue: (work: Work, files: readonly OwnedKey[]) => Promise<unknown>;
  /** Called after rows have become due. */
  onDue: () => void;
}

/** The maximum number of files that wait while a statement runs. The largest message has as many (`hinted-files.ts`). */
export const FILES_MAX = 1_000;

/** The limit of `SweepQueue.makeDue` (`src/files/ports/sweep-queue.ts`). */
const FILES_PER_STATEMENT_MAX = 100;

/**
 * The time within which a message is answered, with the statements before its own. It is shorter than the time-outs of
 * senders (versitygw 3 s, EventBridge 5 s). Ceph RGW lets the upload of the client wait for the answer, unless its topic
 * is persistent.
 */
const TIMEOUT_MS = 2_000;

/** Too many files wait. Nothing was done, so the sender must repeat its message. */
export class QueueFullError extends Error {
  override readonly name = 'QueueFullError';
}

/** The files of all messages that wait for the same statements. `done` is settled after the last of them. */
interface Batch {
  files: Map<string, OwnedKey>;
  /** The deadline of its first message. */
  deadline: Deadline;
  done: PromiseWithResolvers<void>;
}

/**
 * Gathers the files of all messages that arrive while a statement runs, and makes them due together after it. So the
 * messages of a busy bucket take one connection to Postgres at most, however many they are, and a message that arrives
 * alone waits for nothing.
 */
export function createDueQueue({ makeDue, onDue }: DueQueueOptions) {
  let next: Batch | undefined;
  let isRunning = false;

  async function runAll(): Promise<void> {
    isRunning = true;
    for (let batch = takeNext(); batch !== undefined; batch = takeNext()) {
      try {
        await runBatch([...batch.files.values()], batch.deadline);
        batch.done.resolve();
      } catch (error) {
        batch.done.reject(error);
      }
    }
    isRunning = false;
  }

  async function runBatch(files: readonly OwnedKey[], deadline: Deadline): Promise<void> {
    for (let from = 0; from < files.length; from += FILES_PER_STATEMENT_MAX) {
      const some = files.slice(from, from + FILES_PER_STATEMENT_MAX);
      await makeDue({ deadline }, some);
      onDue();
    }
  }

  function takeNext(): Batch | undefined {
    const batch = next;
    next = undefined;
    return batch;
  }

  return {
    /**
     * Resolves when the rows of these files are due.
     *
     * @param files at most FILES_MAX
     * @throws QueueFullError, and what `makeDue` throws: the sender must repeat its message
     */
    async add(files: readonly OwnedKey[]): Promise<void> {
      next ??= { files: new Map(), deadline: Date.now() + TIMEOUT_MS, done: Promise.withResolvers() };
      const { files: waiting, done } = next;
      if (waiting.size + files.length > FILES_MAX) throw new QueueFullError('too many files wait');
      for (const file of files) waiting.set(file.s3Key, file);
      if (!isRunning) void runAll();
      await done.promise;
    },
  };
}
