import type pg from 'pg';
import { type Deadline, timeLeft } from '../files/deadline.ts';

/** A free connection, or a new one. One that comes when the call has given up goes back to the pool. */
export async function checkOut(pool: pg.Pool, deadline: Deadline): Promise<pg.PoolClient> {
  const leftMs = timeLeft(deadline);
  const checkedOut = pool.connect();
  // The pool's own limit comes first.
  if (leftMs >= (pool.options.connectionTimeoutMillis ?? Number.POSITIVE_INFINITY)) return checkedOut;
  return new Promise((resolve, reject) => {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      reject(new Error('no connection before the deadline'));
    }, leftMs);
    checkedOut.then(
      (client) => {
        clearTimeout(timer);
        if (late) client.release();
        else resolve(client);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error);
      },
    );
  });
}
