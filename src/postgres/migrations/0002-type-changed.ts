import { type Kysely, sql } from 'kysely';

/** An older release leaves the column at its default, and does not read it. */
export const serves = '0001-files';

export async function up(db: Kysely<unknown>): Promise<void> {
  // A constant default changes no row, so this takes no time in a large table.
  await sql`alter table files add column type_changed boolean not null default false`.execute(db);
}
