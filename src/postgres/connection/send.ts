import type pg from 'pg';
import { PreparedQuery, type Statement } from './prepared-query.ts';

/**
 * Sends a statement on a free connection and returns the rows. After a time-out the caller must close the
 * connection, because the statement may still be running on it.
 */
export function send(client: pg.ClientBase, statement: Statement, timeoutMs: number): Promise<unknown[]> {
  return new Promise((resolve, reject) => {
    // This timer replaces the option `query_timeout` of `pg`, which would keep the rows of each response in
    // memory for longer.
    const timer = setTimeout(() => reject(new Error('no answer before the deadline')), timeoutMs);
    client.query(
      new PreparedQuery(statement, (error, rows) => {
        clearTimeout(timer);
        if (error === undefined) resolve(rows);
        else reject(error);
      }),
    );
  });
}
