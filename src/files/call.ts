import type { Deadline } from './deadline.ts';

/**
 * Why and until when a step against Postgres or S3 runs. Each port method gets it as its first argument and
 * passes it on, so that every step of a call has the same user and the same deadline.
 */
export interface Work {
  readonly deadline: Deadline;
  /**
   * The user in whose name the step runs. Fair queues share connections and sockets among users. Unset for
   * work across users, like the sweeper's lease: all such work has one queue of its own.
   */
  readonly userId?: string | undefined;
}

/**
 * Work for one user, and the only way to say which: no query and no key is about another user than
 * `call.userId`. The gateway names the user of an RPC; the sweeper and `reconcile` name the user of the row.
 */
export interface Call extends Work {
  readonly userId: string;
}
