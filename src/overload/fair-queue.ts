import { type Deadline, timeLeft } from '../files/deadline.ts';
import { createSharedCapacity } from './shared-capacity.ts';

/** Shares a limited number of concurrent runs fairly among users. */
export interface FairQueue {
  /** The number of tasks that wait to begin. */
  readonly waiting: number;
  /**
   * Runs a task at once if the limits allow it. Otherwise, runs it after all users before this user have had a run.
   *
   * @param user `undefined` for work of no user: it has a queue of its own, and no limit for one user
   * @throws QueueTimeoutError when the task could not begin before `until`: the task never runs
   */
  run<Result>(user: string | undefined, until: Deadline, run: () => Promise<Result>): Promise<Result>;
}

export class QueueTimeoutError extends Error {
  override readonly name = 'QueueTimeoutError';
}

/**
 * The part of its remaining time that a step may wait in a fair queue. The rest is for the step itself and
 * for the response to the client. Under overload, the queue grows until its first step has waited as long as
 * it is allowed to. If a step could wait for all of its time, no step would have time left to run. Without this limit,
 * at twice the load that Postgres can carry, only a tenth of the calls were answered in time.
 */
const WAIT_SHARE = 2 / 3;

/**
 * Returns until when a step with this deadline may wait.
 *
 * @throws DeadlineExceededError if no time is left
 */
export function waitEnd(deadline: Deadline): Deadline {
  return Date.now() + Math.floor(timeLeft(deadline) * WAIT_SHARE);
}

/**
 * Each user has a queue, and free runs go round-robin from user to user. A user with a hundred waiting tasks
 * delays the next user by one run. In a single queue for all, as a connection pool has, the delay would be a
 * hundred runs.
 *
 * A user may have as many runs as were free before the last of them, as in `admission.ts`: a user alone gets about half
 * of all runs, and two users with many tasks get about a third each. So no user alone can take all runs, even if the
 * tasks of the user take long. Without this limit, forty deletes of a row that another session had locked held all ten
 * connections of a pool for 2.5 s.
 */
export function createFairQueue(concurrencyMax: number): FairQueue {
  const capacity = createSharedCapacity<string | symbol>(concurrencyMax);
  let waiting = 0;
  /**
   * The waiting tasks of each user. The map's order is the order of the next runs; no queue in the map is
   * empty.
   */
  const queues = new Map<string | undefined, Set<Task>>();

  /** Starts waiting tasks until no waiting task may run. */
  function startWaiting(): void {
    for (const [user, queue] of queues) {
      if (capacity.taken === concurrencyMax) return;
      const [task] = queue;
      if (task === undefined || !capacity.take(task.holder, 1)) continue;
      remove(user, queue, task);
      // The user's remaining tasks now wait behind all other users, and this loop comes to them again.
      if (queues.delete(user)) queues.set(user, queue);
      task.begin();
    }
  }

  function remove(user: string | undefined, queue: Set<Task>, task: Task): void {
    queue.delete(task);
    waiting--;
    if (queue.size === 0) queues.delete(user);
  }

  function waitForRun(user: string | undefined, holder: Task['holder'], until: Deadline): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const queue = queues.get(user) ?? new Set();
    queues.set(user, queue);
    const task: Task = {
      holder,
      begin() {
        clearTimeout(timer);
        resolve();
      },
    };
    const timer = setTimeout(() => {
      remove(user, queue, task);
      reject(
        new QueueTimeoutError('the task did not begin in time, because too many tasks were queued before it'),
      );
    }, until - Date.now());
    queue.add(task);
    waiting++;
    return promise;
  }

  return {
    get waiting() {
      return waiting;
    },
    async run(user, until, run) {
      // If this task may run at once, it overtakes no waiting task that could run: `startWaiting` has started those.
      const holder = user ?? Symbol('work of no user');
      if (!capacity.take(holder, 1)) await waitForRun(user, holder, until);
      try {
        return await run();
      } finally {
        capacity.giveBack(holder, 1);
        startWaiting();
      }
    },
  };
}

interface Task {
  /**
   * The user for whom the task takes capacity. For work of no user, a symbol that only this task has, so that
   * the limit for one user does not apply.
   */
  readonly holder: string | symbol;
  begin(): void;
}
