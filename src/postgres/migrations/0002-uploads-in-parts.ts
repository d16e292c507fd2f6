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

  // What is pending or deleted is the sweeper's; so is a READY file in parts, for a while: others may have begun an
  // upload under its key. Until now no READY file was.
  await sql`
    alter table files
      drop constraint files_check,
      add constraint files_due_check check (state = 'ready' or due_at is not null) not valid,
      add check (state <> 'ready' or due_at is null or octet_length(fingerprint) > 16) not valid`.execute(db);

  // Hashes cannot be compressed: do not try.
  await sql`alter table files alter column part_md5s set storage external`.execute(db);
}
