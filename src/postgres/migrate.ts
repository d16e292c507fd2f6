import { setTimeout as sleep } from 'node:timers/promises';
import { Kysely, PostgresDialect, sql } from 'kysely';
import type pg from 'pg';
import { createPool, type DatabaseAddress } from './connection/pool.ts';
import * as files from './migrations/0001-files.ts';
import * as typeChanged from './migrations/0002-type-changed.ts';
import * as events from './migrations/0003-events.ts';
import * as hashedKeys from './migrations/0004-hashed-keys.ts';
import { type Migrations, runMigrations } from './migrator.ts';

/** A migration on the main branch must never be edited. */
const MIGRATIONS: Migrations = {
  '0001-files': files,
  '0002-type-changed': typeChanged,
  '0003-events': events,
  '0004-hashed-keys': hashedKeys,
};

/**
 * The time-out of one statement: one hour. It is long enough to build an index on a large table, or to wait
 * until another instance has built the index.
 */
const STATEMENT_TIMEOUT_MS = 3_600_000;

const CONNECT_TIMEOUT_MS = 10_000;

const RETRY_INTERVAL_MS = 1_000;

/**
 * Runs `migrate` on a pool of its own, because the time-outs of the service's pool are far too short for a
 * migration.
 */
export async function migrateAt(address: DatabaseAddress): Promise<string[]> {
  const pool = openPool(address);
  try {
    return await migrate(pool);
  } finally {
    await pool.end();
  }
}

/**
 * Runs `migrate` as soon as Postgres accepts a connection, and tries again every second until then. Returns
 * without a migration when the signal is aborted.
 *
 * @throws any error after Postgres has accepted a connection: waiting would not repair the migration
 */
export async function migrateWhenReachable(
  address: DatabaseAddress,
  onWait: (error: unknown) => void,
  signal: AbortSignal,
): Promise<void> {
  const pool = openPool(address);
  try {
    while (!signal.aborted) {
      const error = await whyUnreachable(pool);
      if (error === undefined) return void (await migrate(pool));
      // When the service stops, it stops its own Postgres, too. That is no wait.
      if (signal.aborted) return;
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

function openPool(address: DatabaseAddress): pg.Pool {
  return createPool({
    ...address,
    maxConnections: 2,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    onIdleError: () => undefined,
  });
}

/**
 * The key of the advisory lock that `migrate` holds. It is a random number. No other application in this database may
 * use this key.
 */
const LOCK = 7_114_253_886_201;

/**
 * Brings the schema up to date in one transaction, and returns the names of the migrations that ran.
 * Concurrent runs wait for each other, so every instance may call this function at its start. The lock
 * belongs to the transaction and not to the session, because a pooler shares sessions between clients.
 *
 * Migrations only go forward. After each migration, the release before it must still work, so that a deployment can go
 * back to that release. A new column that may be null or has a default may be used in the release that adds it. A
 * column may be removed only by a release after the last release that reads it.
 */
export async function migrate(pool: pg.Pool, migrations = MIGRATIONS): Promise<string[]> {
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  return db.transaction().execute(async (transaction) => {
    await sql`select pg_advisory_xact_lock(${sql.lit(LOCK)})`.execute(transaction);
    return runMigrations(transaction, migrations);
  });
}
