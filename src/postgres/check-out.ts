import type pg from 'pg';
import { type Deadline, timeLeft } from '../files/deadline.ts';

/**
 * A free connection, or a new one. One that comes when the call has given up goes back to the pool.
 *
 * By callbacks: of each promise of its own, `pg` makes a second one for the stack of an error.
 */
export function checkOut(pool: pg.Pool, deadline: Deadline): Promise<pg.PoolClient> {
  return new Promise((resolve, reject) => {
    const leftMs = timeLeft(deadline);
    const giveUp = () => {
      late = true;
      reject(new Error('no connection before the deadline'));
    };
    let late = false;
    // The pool's own limit may come first.
    const isSooner = leftMs < (pool.options.connectionTimeoutMillis ?? Number.POSITIVE_INFINITY);
    const timer = isSooner ? setTimeout(giveUp, leftMs) : undefined;
    pool.connect((error, client) => {
      clearTimeout(timer);
      if (client === undefined) reject(error);
      else if (late) client.release();
      else resolve(client);
    });
  });
}
