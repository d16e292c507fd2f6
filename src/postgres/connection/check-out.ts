import type pg from 'pg';
import { type Deadline, timeLeft } from '../../files/deadline.ts';

/**
 * A free connection, or a new one. One that comes when the call has given up goes back to the pool.
 *
 * By callbacks: of each promise of its own, `pg` makes a second one for the stack of an error.
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
