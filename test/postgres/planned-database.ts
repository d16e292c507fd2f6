import type pg from 'pg';
import type { FileStore } from '../../src/files/ports/file-store.ts';
import { type Database, createDatabase as databaseOn } from '../../src/postgres/connection/database.ts';
import { createPool } from '../../src/postgres/connection/pool.ts';
import { createFileStore } from '../../src/postgres/file-store.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { createDatabase } from '../harness/database.ts';
import { STORE_LIMITS } from '../harness/store-limits.ts';

/** A new database with the schema, for tests of what Postgres reads. */
export interface PlannedDatabase extends AsyncDisposable {
  url: string;
  pool: pg.Pool;
  database: Database;
  /** A store with the default limits of the service. */
  openStore(database?: Database): FileStore;
}

/**
 * Opens the service's own pool, so that Postgres uses generic plans. It has one connection, so each statement is
 * planned once.
 */
export async function openPlannedDatabase(): Promise<PlannedDatabase> {
  const { url, drop } = await createDatabase();
  const pool = createPool({
    urls: [url],
    maxConnections: 1,
    connectTimeoutMs: 10_000,
    statementTimeoutMs: 600_000,
    onIdleError: () => undefined,
  });
  await migrate(pool);
  const database = databaseOn(pool, (_, run) => run());
  return {
    url,
    pool,
    database,
    openStore: (on = database) => createFileStore(on, STORE_LIMITS),
    async [Symbol.asyncDispose]() {
      await pool.end();
      await drop();
    },
  };
}
