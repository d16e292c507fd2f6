import type { Logger } from 'pino';
import { reasonOf, StartupError } from '../config/startup-error.ts';
import type { DatabaseAddress } from '../postgres/connection/pool.ts';
import { migrateWhenReachable } from '../postgres/migrate.ts';

/**
 * Brings the schema up to date as soon as Postgres answers. Returns early when the signal is aborted.
 *
 * @throws StartupError if the schema cannot be brought up to date
 */
export async function updateSchema(
  address: DatabaseAddress,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const onWait = (error: unknown) => log.warn({ err: error }, 'the schema update waits for Postgres');
  try {
    await migrateWhenReachable(address, onWait, signal);
  } catch (error) {
    // A stop closes the connection to Postgres, which rolls the transaction back. The next start begins the
    // migration again.
    if (signal.aborted) return;
    throw new StartupError(`the schema cannot be brought up to date: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}
