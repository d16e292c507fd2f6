/**
 * Replaces Kysely's `Migrator` for two reasons. After a rollback to an older release, Kysely's `Migrator` throws
 * "corrupted migrations". After a failed statement, it runs another statement, and throws the error of that
 * statement ("current transaction is aborted") instead of the first error. This file uses the same table as
 * Kysely, so databases that Kysely migrated stay as they are.
 */
import { type Kysely, sql } from 'kysely';

/** The schema cannot be used or changed. The message is written for the operator. */
class SchemaError extends Error {
  override readonly name = 'SchemaError';
}

export interface Migration {
  up(db: Kysely<unknown>): Promise<void>;
  /**
   * The name of the oldest migration whose release still works after this migration has run. A release whose newest
   * migration is the named one or a later one may start on the new schema. It then runs no migration.
   */
  readonly serves: string;
}

/** The migrations by their names. They run in the order of their names. */
export type Migrations = Readonly<Record<string, Migration>>;

interface Executed {
  name: string;
  serves: string | null;
}

/**
 * Runs the migrations that have not run yet, and returns their names. If all migrations have run, it only reads the
 * database, so a role without rights to change the schema can then call it.
 *
 * @param db a transaction
 * @throws SchemaError if the schema is newer than this release, and does not say that it serves this release
 */
export async function runMigrations(db: Kysely<unknown>, migrations: Migrations): Promise<string[]> {
  const known = Object.keys(migrations).sort();
  const executed = await findExecuted(db);
  const newest = executed?.at(-1);
  if (newest !== undefined && !known.includes(newest.name)) {
    assertServed(newest, known);
    return [];
  }
  const done = new Set(executed?.map(({ name }) => name));
  const missing = known.filter((name) => !done.has(name));
  if (missing.length > 0) await createTable(db, executed === undefined);
  for (const name of missing) {
    const { up, serves } = migrations[name] as Migration;
    await up(db);
    await sql`insert into kysely_migration (name, timestamp, serves)
      values (${name}, ${new Date().toISOString()}, ${serves})`.execute(db);
  }
  return missing;
}

/** Returns the migrations that have run, in the order of their names, or undefined if there is no table yet. */
async function findExecuted(db: Kysely<unknown>): Promise<Executed[] | undefined> {
  const { rows: tables } = await sql<{ exists: boolean }>`
    select to_regclass('kysely_migration') is not null as exists`.execute(db);
  if (tables[0]?.exists !== true) return undefined;
  // If Kysely created the table `kysely_migration`, the table has no column `serves`. Read by way of JSON, the missing
  // column is null, and the statement does not fail.
  const { rows } = await sql<Executed>`
    select name, to_jsonb(kysely_migration) ->> 'serves' as serves from kysely_migration
    order by name collate "C"`.execute(db);
  return rows;
}

/**
 * Throws if this release cannot use the schema of a newer release. A rolling deploy can be undone, so an older release
 * can start after a newer release has migrated.
 */
function assertServed({ name, serves }: Executed, known: readonly string[]): void {
  const newestKnown = known.at(-1) ?? '';
  if (serves !== null && serves <= newestKnown) return;
  throw new SchemaError(
    `the schema has been migrated to ${name}, which serves releases from ${serves ?? name} on, ` +
      `but this release ends with ${newestKnown}. Start a newer release`,
  );
}

async function createTable(db: Kysely<unknown>, isNew: boolean): Promise<void> {
  if (!isNew)
    return void (await sql`alter table kysely_migration add column if not exists serves text`.execute(db));
  const { rows } = await sql<{ encoding: string }>`
    select current_setting('server_encoding') as encoding`.execute(db);
  const encoding = rows[0]?.encoding;
  if (encoding !== 'UTF8') {
    throw new SchemaError(
      `the database has the encoding ${encoding}, which cannot hold all filenames. ` +
        `Create it with ENCODING 'UTF8' TEMPLATE template0`,
    );
  }
  await sql`
    create table kysely_migration (
      name varchar(255) primary key,
      timestamp varchar(255) not null,
      serves text)`.execute(db);
}
