import type pg from 'pg';
import { PreparedQuery, type Statement } from './prepared-query.ts';

/**
 * Sends a statement on a connection that is free, and gives its rows. Without an
 * answer in time it fails, and the connection will not do any more.
 */
export function send(client: pg.ClientBase, statement: Statement, timeoutMs: number): Promise<unknown[]> {
  return new Promise((resolve, reject) => {
    // Not the `query_timeout` of `pg`: it holds on to each answer's rows for longer.
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
