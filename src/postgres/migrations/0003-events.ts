import { type Kysely, sql } from 'kysely';

/** Releases since 0001 still work: they do not read the new columns, and leave them at their defaults. */
export const serves = '0001-files';

/**
 * Adds the columns and the indexes of the outbox for events. A row whose newest change has not been delivered yet has
 * an `event_due_at`.
 *
 * The columns have constant defaults, so they change no row. Each index is empty, but Postgres reads the whole table to
 * build it. Calls that use the table wait for that time, and fail if they may not wait so long. For a large table,
 * build the columns and the indexes before this migration, without such a wait. Then the migration finds them and takes
 * no time. These statements do it; the last two cannot run inside a transaction:
 *
 *     alter table files
 *       add column revision bigint not null default 0,
 *       add column event_due_at timestamptz(3),
 *       add column event_attempts smallint not null default 0;
 *     create index concurrently files_event_due on files (event_due_at) where event_due_at is not null;
 *     create index concurrently files_event_due_by_user on files (user_id, event_due_at)
 *       where event_due_at is not null;
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table files
      add column if not exists revision bigint not null default 0,
      add column if not exists event_due_at timestamptz(3),
      add column if not exists event_attempts smallint not null default 0`.execute(db);

  // The queue of the dispatcher (the background task that delivers events). Rows without an event to deliver, which are
  // nearly all rows, are not in this index and the next one.
  await sql`
    create index if not exists files_event_due on files (event_due_at) where event_due_at is not null`.execute(
    db,
  );

  // The queue of the dispatcher by user, for the turns of the users (`files_due_by_user` in 0001-files.ts).
  await sql`
    create index if not exists files_event_due_by_user on files (user_id, event_due_at)
    where event_due_at is not null`.execute(db);
}
