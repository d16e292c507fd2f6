/**
 * The size of a pool while new connections fail, because the server has too many or refuses the password.
 *
 * A pool of `pg` opens a connection for each call that finds none free, and fails the call if the new connection
 * fails. Here the pool keeps its size for a moment instead: a call waits for an open connection, and none is
 * closed because it is idle.
 */
import type pg from 'pg';

/** How long the pool keeps its size. This long after the end of the fault, the pool grows again. */
const KEEP_MS = 500;

export interface PoolSize {
  /** The number of connections that can serve calls. */
  readonly open: number;
  /** Must be called when a new connection is begun. */
  onBegin(): void;
  /** Must be called when a new connection has failed, before the pool knows. */
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
    // The pool begins a connection only for a new call.
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
      // Without an open connection, the pool continues to try for each call.
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
