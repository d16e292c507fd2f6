import type { Logger } from 'pino';
import { reasonOf, StartupError } from '../config/startup-error.ts';
import { FAILURE_INTERVAL_MS, limitLines } from '../observability/limit-lines.ts';
import type { DatabaseAddress } from '../postgres/connection/pool.ts';
import { migrateWhenReachable } from '../postgres/migrate.ts';

/**
 * Brings the schema of the database up to date as soon as Postgres answers. If `signal` is aborted, it returns
 * without an error.
 *
 * @throws StartupError if the schema cannot be brought up to date
 */
export async function updateSchema(
  address: DatabaseAddress,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const line = limitLines(FAILURE_INTERVAL_MS);
  const onWait = (error: unknown) =>
    line((unlogged) => log.warn({ err: error, unlogged }, 'the schema update waits for Postgres'));
  try {
    await migrateWhenReachable(address, onWait, signal);
  } catch (error) {
    // When the service stops, it closes the connection, and Postgres rolls the unfinished migration back. The next
    // start begins that migration again.
    if (signal.aborted) return;
    throw new StartupError(`the schema cannot be brought up to date: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}
