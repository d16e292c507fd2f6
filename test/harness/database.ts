import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';

export interface TestDatabase extends AsyncDisposable {
  readonly url: string;
  /** Works with connected clients too. They emit an `error` event, so end their pools first. */
  readonly drop: () => Promise<void>;
}

/** Creates an empty database that no other test file uses. */
export async function createDatabase(): Promise<TestDatabase> {
  const serverUrl = inject('postgresUrl');
  const name = `test_${randomBytes(8).toString('hex')}`;
  await execute(serverUrl, `create database ${name}`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  const drop = () => execute(serverUrl, `drop database if exists ${name} with (force)`);
  return { url: url.href, drop, [Symbol.asyncDispose]: drop };
}

/**
 * A pool for the statements of a test. `pool.end()` does not wait until Postgres has closed the connections. If the
 * database is dropped before that, Postgres breaks a connection, and the pool emits an error, which is ignored here.
 */
export function openPool(url: string, max = 1): pg.Pool {
  return new pg.Pool({ connectionString: url, max }).on('error', () => undefined);
}

export async function execute(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
