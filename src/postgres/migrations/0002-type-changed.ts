import { type Kysely, sql } from 'kysely';

/** Releases since 0001 still work: they do not read the new column, and leave it at its default. */
export const serves = '0001-files';

export async function up(db: Kysely<unknown>): Promise<void> {
  // A constant default changes no row, so this takes no time in a large table.
  await sql`alter table files add column type_changed boolean not null default false`.execute(db);
}
