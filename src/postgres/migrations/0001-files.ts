/**
 * `src/postgres/migrations` has one file per change of the schema, named `<number>-<subject>.ts` and listed in
 * `../migrate.ts`. A migration contains its own SQL. Imports from this repository do not belong here, because
 * later changes of the code must not change a migration. A released migration is never edited: add a new file
 * instead. Each exports `serves`, the oldest migration whose release still works after this migration has run.
 */
import { type Kysely, sql } from 'kysely';

export const serves = '0001-files';

export async function up(db: Kysely<unknown>): Promise<void> {
  await createTable(db);
  await createIndexes(db);
}

async function createTable(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table files (
      user_id text collate "C" not null,
      s3_key text collate "C" not null,
      state text not null check (state in ('pending', 'ready', 'deleted')),
      filename text collate "C" not null,
      mime_type text not null,
      fingerprint bytea not null,
      size bigint check (size >= 0),
      etag text,
      last_modified timestamptz(3),
      create_time timestamptz(3) not null default now(),
      verified_at timestamptz(3),
      url_expire_at timestamptz(3) not null,
      lost boolean not null default false,
      due_at timestamptz(3),
      sweep_attempts smallint not null default 0,
      pending_slot smallint,
      part_size bigint check (part_size > 0),
      part_md5s bytea check (octet_length(part_md5s) % 16 = 0),
      upload_id text,
      primary key (user_id, s3_key),
      check (state = 'ready' or due_at is not null),
      check (state <> 'ready' or due_at is null or octet_length(fingerprint) > 16),
      check (pending_slot is null or state <> 'ready'),
      check ((part_size is null) = (part_md5s is null)),
      check (part_md5s is not null or upload_id is null),
      check (part_md5s is null or state = 'pending'),
      check (state <> 'ready' or (size is not null and etag is not null and last_modified is not null and verified_at is not null))
    )`.execute(db);

  // Storage `external` keeps the MD5s uncompressed, because hashes do not compress and each attempt costs CPU.
  await sql`alter table files alter column part_md5s set storage external`.execute(db);
}

async function createIndexes(db: Kysely<unknown>): Promise<void> {
  // One file per user and content, not counting deleted files. Concurrent creates of the same content
  // therefore get the same file.
  await sql`
    create unique index files_content on files (user_id, fingerprint) where state <> 'deleted'`.execute(db);

  // Limits the pending uploads of a user. Each upload holds a slot number that no other upload of the user
  // has, and the service hands out only so many numbers.
  await sql`
    create unique index files_pending_slot on files (user_id, pending_slot) where pending_slot is not null`.execute(
    db,
  );

  // Serves the pages of READY files, newest first. The next page begins after the last file of the previous page:
  // (last_modified, s3_key) < (…, …). For such a comparison, both columns must have the same direction. The index is
  // ascending, so Postgres reads it backwards.
  await sql`
    create index files_ready on files (user_id, last_modified, s3_key) where state = 'ready'`.execute(db);

  // Pending files for the first page of a list. Most users have none, and then the lookup costs almost nothing.
  await sql`
    create index files_pending on files (user_id, create_time) where state = 'pending'`.execute(db);

  // The queue of the sweeper (the background task of `src/files/maintenance/sweeper.ts`). The index leaves out READY
  // rows, which are nearly all rows of the table.
  await sql`
    create index files_due on files (due_at) where due_at is not null`.execute(db);

  // The queue of the sweeper by user. One search of this index finds the next user and the oldest due row of
  // that user, however many rows the previous user has. Updating the index costs each write of a due row 5 to
  // 7 µs of Postgres's CPU. For comparison, a create takes about 200 µs (test/README.md).
  await sql`
    create index files_due_by_user on files (user_id, due_at) where due_at is not null`.execute(db);
}
