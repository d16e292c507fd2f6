import { Kysely, PostgresDialect } from 'kysely';
import { type MigrationResult, Migrator } from 'kysely/migration';
import type pg from 'pg';
import * as files from './migrations/0001-files.ts';

/** In the order of their names. A migration that has been released is never edited. */
const MIGRATIONS = { '0001-files': files };

/**
 * Brings the schema up to date and tells what was done. Kysely's lock makes
 * concurrent runs wait for each other, so every instance may do it at its start.
 *
 * Migrations only go forward, and each leaves the release before it working:
 * add in one release, use in the next, remove in the one after.
 */
export async function migrate(pool: pg.Pool): Promise<MigrationResult[]> {
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  const migrator = new Migrator({ db, provider: { getMigrations: async () => MIGRATIONS } });
  const { error, results } = await migrator.migrateToLatest();
  if (error !== undefined) throw error;
  return results ?? [];
}
