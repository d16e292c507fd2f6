import { type Kysely, sql } from 'kysely';

/** Neither rewrites a row nor reads one: a table of any size waits for it no longer than for any lock. */
export async function up(db: Kysely<unknown>): Promise<void> {
  // All null for a single PUT, and once the file is READY.
  await sql`
    alter table files
      add column part_size bigint,
      add column part_md5s bytea,
      add column upload_id text`.execute(db);

  await sql`
    alter table files
      add check (part_size > 0 and octet_length(part_md5s) % 16 = 0) not valid,
      add check ((part_size is null) = (part_md5s is null)) not valid,
      add check (part_md5s is not null or upload_id is null) not valid,
      add check (part_md5s is null or state = 'pending') not valid`.execute(db);

  // Hashes cannot be compressed: do not try.
  await sql`alter table files alter column part_md5s set storage external`.execute(db);
}
