import type { Socket } from 'node:net';
import { expect, it, vi } from 'vitest';
import { createPool } from '../../../src/postgres/connection/pool.ts';
import { createDatabase, openPool } from '../../harness/database.ts';
import { waitFor } from '../../harness/wait-for.ts';

it('an idle connection that Postgres ends while the pool closes it is no error', async () => {
  const server = await createDatabase();
  const admin = openPool(server.url, 1);
  const idleErrors: Error[] = [];
  const pool = createPool({
    urls: [server.url],
    maxConnections: 1,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 5_000,
    onIdleError: (error) => idleErrors.push(error),
  });
  const closed = vi.fn();
  pool.on('remove', closed);
  const client = await pool.connect();
  const { rows } = await client.query('select pg_backend_pid() as pid');
  const { stream } = (client as unknown as { connection: { stream: Socket } }).connection;
  client.release();

  // The connection reads that Postgres ends it only after the pool has begun to close it.
  stream.pause();
  await admin.query('select pg_terminate_backend($1, 5000)', [rows[0].pid]);
  const ended = pool.end();
  stream.resume();
  await ended;
  await waitFor(() => expect(closed).toHaveBeenCalled());
  expect(idleErrors).toEqual([]);

  await admin.end();
  await server.drop();
});
