import type pg from 'pg';
import { type Deadline, timeLeft } from '../../files/deadline.ts';

/**
 * Takes a free connection from the pool, or a new one. Rejects at the deadline. If the connection arrives later, it
 * goes back to the pool.
 *
 * This function uses the callback form of `pool.connect`. The promise form would create at least one promise more for
 * each statement.
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
