import type pg from 'pg';
import { type Deadline, timeLeft } from '../../files/deadline.ts';

/**
 * Takes a free connection from the pool, or a new one. If a connection arrives after the deadline, it goes
 * back to the pool.
 *
 * This function uses the callback form of `pool.connect`. For each promise that `pool.connect` returns, `pg`
 * creates a second promise, only to give its error a stack trace.
 */
export function checkOut(pool: pg.Pool, deadline: Deadline): Promise<pg.PoolClient> {
  return new Promise((resolve, reject) => {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      reject(new Error('no connection before the deadline'));
    }, timeLeft(deadline));
    pool.connect((error, client) => {
      clearTimeout(timer);
      if (client === undefined) reject(error);
      else if (late) client.release();
      else resolve(client);
    });
  });
}
