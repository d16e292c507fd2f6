import pg from 'pg';

/** What Postgres is sent. */
export interface Statement {
  /** The connection keeps its plan by it. Unset: it is parsed and planned at each call. */
  name?: string;
  text: string;
  values: unknown[];
}

/**
 * Sends a statement on a connection that is free, and gives its rows. Without an
 * answer in time it fails, and the connection will not do any more.
 *
 * A `Query` made of a text is taken as it is. What is usually given, an object of
 * all this, `pg` copies by the descriptors of its properties: as much work as all
 * else that it does before it writes.
 */
export function send(client: pg.ClientBase, statement: Statement, timeoutMs: number): Promise<unknown[]> {
  const { name, text, values } = statement;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('no answer before the deadline')), timeoutMs);
    const query = new pg.Query(text, values, (error, result) => {
      clearTimeout(timer);
      if (error) reject(error);
      else resolve(result.rows);
    });
    client.query(Object.assign(query, { name }));
  });
}
