import { setTimeout as sleep } from 'node:timers/promises';
import { Kysely, PostgresAdapter, PostgresDialect, sql } from 'kysely';
import { type MigrationResult, Migrator } from 'kysely/migration';
import type pg from 'pg';
import { createPool, type Pooler } from './connection/database.ts';
import * as files from './migrations/0001-files.ts';

/** In the order of their names. A migration that has been released is never edited. */
const MIGRATIONS = { '0001-files': files };

/** For an index on a large table, and for waiting until another instance has built it. */
const STATEMENT_TIMEOUT_MS = 3_600_000;

const CONNECT_TIMEOUT_MS = 10_000;

const RETRY_INTERVAL_MS = 1_000;

/** Opens a pool of its own, `migrate`s, and closes it: the timeouts of calls are far too short for it. */
export async function migrateAt(url: string, pooler: Pooler): Promise<MigrationResult[]> {
  const pool = openPool(url, pooler);
  try {
    return await migrate(pool);
  } finally {
    await pool.end();
  }
}

/**
 * As `migrateAt`, but waits while Postgres takes no connection, until the signal.
 *
 * @throws what fails once Postgres has taken one: the migration itself is wrong
 */
export async function migrateWhenReachable(
  url: string,
  pooler: Pooler,
  onWait: (error: unknown) => void,
  signal: AbortSignal,
): Promise<void> {
  const pool = openPool(url, pooler);
  try {
    while (!signal.aborted) {
      const error = await whyUnreachable(pool);
      if (error === undefined) return void (await migrate(pool));
      onWait(error);
      await sleep(RETRY_INTERVAL_MS, undefined, { signal }).catch(() => {});
    }
  } finally {
    await pool.end();
  }
}

async function whyUnreachable(pool: pg.Pool): Promise<unknown> {
  try {
    (await pool.connect()).release();
    return undefined;
  } catch (error) {
    return error;
  }
}

function openPool(url: string, pooler: Pooler): pg.Pool {
  return createPool({
    url,
    pooler,
    maxConnections: 2,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    onIdleError: () => undefined,
  });
}

/**
 * Kysely's own lock belongs to the session, which a pooler shares: through one it
 * keeps nobody out, and can stay behind for good. `migrate` takes one of the
 * transaction. file-store.pgbouncer.test.ts fails without it.
 */
class WithoutLock extends PostgresAdapter {
  override async acquireMigrationLock(): Promise<void> {}
  override async releaseMigrationLock(): Promise<void> {}
}

class Dialect extends PostgresDialect {
  override createAdapter(): PostgresAdapter {
    return new WithoutLock();
  }
}

/** Any number that nobody else in this database locks. */
const LOCK = 7_114_253_886_201;

/**
 * Brings the schema up to date and tells what was done, in one transaction, under
 * a lock: concurrent runs wait for each other, so every instance may do it at its
 * start.
 *
 * Migrations only go forward, and each leaves the release before it working:
 * add in one release, use in the next, remove in the one after.
 */
export async function migrate(pool: pg.Pool): Promise<MigrationResult[]> {
  const db = new Kysely<unknown>({ dialect: new Dialect({ pool }) });
  return db.transaction().execute(async (transaction) => {
    await sql`select pg_advisory_xact_lock(${sql.lit(LOCK)})`.execute(transaction);
    const provider = { getMigrations: async () => MIGRATIONS };
    const { error, results } = await new Migrator({ db: transaction, provider }).migrateToLatest();
    if (error !== undefined) throw error;
    return results ?? [];
  });
}
