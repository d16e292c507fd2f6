import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
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

  // Hashes cannot be compressed: do not try.
  await sql`alter table files alter column part_md5s set storage external`.execute(db);

  // One live file per user and content: however many ask at once, they get the same one.
  await sql`
    create unique index files_content on files (user_id, fingerprint) where state <> 'deleted'`.execute(db);

  // The caps on a user's pending uploads: each holds a slot of its own.
  await sql`
    create unique index files_pending_slot on files (user_id, pending_slot) where pending_slot is not null`.execute(
    db,
  );

  // Pages of READY files; the row comparison of the cursor walks it backwards.
  await sql`
    create index files_ready on files (user_id, last_modified, s3_key) where state = 'ready'`.execute(db);

  // What a first page looks for; empty for most users, and then free.
  await sql`
    create index files_pending on files (user_id, create_time) where state = 'pending'`.execute(db);

  // The sweeper's queue. READY rows, nearly all of the table, are not in it.
  await sql`
    create index files_due on files (due_at) where due_at is not null`.execute(db);

  // The same rows by user: one probe finds the next user and its oldest row, however many rows the user before has.
  // It costs each write of such a row 5 to 7 µs of Postgres's CPU; a create takes 270.
  await sql`
    create index files_due_by_user on files (user_id, due_at) where due_at is not null`.execute(db);
}
