import type { Deadline } from '../files/deadline.ts';
import { createFairQueue, type FairQueue } from './fair-queue.ts';

/** Runs the tasks of each user one after the other. Tasks of different users run at the same time. */
interface UserTurns {
  /** The number of users who have a task that runs or waits. */
  readonly users: number;
  /** @throws QueueTimeoutError when the task could not begin before `until`: the task never runs */
  run<Result>(user: string, until: Deadline, run: () => Promise<Result>): Promise<Result>;
}

export function createUserTurns(): UserTurns {
  /** Contains only users who have tasks, so that the map does not grow with the number of users. */
  const ofUsers = new Map<string, { queue: FairQueue; tasks: number }>();
  return {
    get users() {
      return ofUsers.size;
    },
    async run(user, until, run) {
      const own = ofUsers.get(user) ?? { queue: createFairQueue(1), tasks: 0 };
      ofUsers.set(user, own);
      own.tasks++;
      try {
        return await own.queue.run(user, until, run);
      } finally {
        own.tasks--;
        if (own.tasks === 0) ofUsers.delete(user);
      }
    },
  };
}
