/** Statements of the readiness check. */
import { sql } from 'kysely';
import { columns } from './expressions.ts';
import { prepareForms } from './forms.ts';
import { prepare, type Sql } from './prepared.ts';

/** Whether the server takes writes. A standby and a server in read-only mode answer reads and refuse writes. */
const takesWrites: Sql = sql`current_setting('transaction_read_only') = 'off'`;

/** Returns one row. Fails if the database is missing, or lacks a column that this release needs. */
export const schemaCheck = prepareForms<Record<never, never>, { takes_writes: boolean }>(
  'schema_check',
  (_, ifAnnounced) => sql`
    select ${takesWrites} as takes_writes
    where not exists (
      select ${columns}, url_expire_at, due_at, sweep_attempts, pending_slot, part_size, part_md5s, upload_id
        ${ifAnnounced(sql`, revision, event_due_at, event_attempts`)}
      from files
      limit 0)`,
);

/**
 * Commits a message in Postgres's write-ahead log, so it waits for everything that a commit of a write waits for. It
 * changes nothing: only consumers of logical replication see the message. Returns no row if the server takes no
 * writes.
 */
export const writeCheck = prepare<Record<never, never>, { position: string }>(
  'write_check',
  () => sql`
    with message as (
      select pg_logical_emit_message(true, 'file-service', '') as position where ${takesWrites})
    select position from message`,
);
