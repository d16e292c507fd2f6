/**
 * Limits the size of a pool while new connections fail, because the server has too many connections or
 * refuses the password.
 *
 * A pool of `pg` opens a connection for each call that finds none free, and fails the call if the new
 * connection fails. With this file, the pool keeps its size for `KEEP_MS` instead: a call waits for an open
 * connection, and no idle connection is closed.
 */
import type pg from 'pg';

/** How long the pool keeps its size after a failure. Then it tries to grow again. */
const KEEP_MS = 500;

export interface PoolSize {
  /** The number of connections that can serve calls. */
  readonly open: number;
  /** Must be called when a new connection is begun. */
  onBegin(): void;
  /** Must be called when a new connection has failed, before the pool learns of the failure. */
  onFailure(): void;
  /** Must be called when a new connection is open or has failed. */
  onEnd(): void;
}

/** @param addConnection opens a connection for the call that has waited longest */
export function createPoolSize(pool: pg.Pool, addConnection: () => void): PoolSize {
  const { max } = pool.options;
  let opening = 0;
  let timer: NodeJS.Timeout | undefined;

  function grow(): void {
    timer = undefined;
    Object.assign(pool.options, { max, min: 0 });
    // The pool begins a connection only for a new call, so the calls that wait already need one each.
    for (let i = pool.waitingCount; i > 0; i--) addConnection();
  }

  return {
    get open() {
      return pool.totalCount - opening;
    },
    onBegin() {
      opening++;
    },
    onFailure() {
      // If no connection is open, waiting would not help: the pool continues to open one for each call.
      if (pool.totalCount === opening) return;
      const size = pool.totalCount - 1;
      Object.assign(pool.options, { max: size, min: size });
      if (timer === undefined) timer = setTimeout(grow, KEEP_MS).unref();
    },
    onEnd() {
      opening--;
    },
  };
}
