import type pg from 'pg';

/** Undelivered events of an outage: one user has half of them, and the other users share the rest evenly. */
export interface Backlog {
  events: number;
  users: number;
  /** The events became due evenly over this time, until now. */
  seconds: number;
}

export const BUSY_USER = 'backlog-0';

/**
 * Adds READY files whose events were not delivered. Key `backlog-3_000001` is the second file of the fourth user: the keys
 * of a user are in the order of its events.
 *
 * To be called before the service starts. A running service looks for events at the time of its last search.
 */
export async function addBacklog(database: pg.Pool, { events, users, seconds }: Backlog): Promise<void> {
  await database.query(
    `insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, size, etag, last_modified,
       verified_at, url_expire_at, revision, event_due_at)
     select user_id, user_id || '_' || lpad((row_number() over (partition by user_id order by n) - 1)::text, 6, '0'),
       'ready', 'file ' || n, 'text/plain', decode(md5(n::text), 'hex'), 5, md5(n::text), due, due, due,
       (extract(epoch from due) * 1000000)::bigint, due
     from (
       select n, 'backlog-' || case when n % 2 = 0 then 0 else 1 + (n / 2) % ($2::int - 1) end as user_id,
         now() - $3 * interval '1 s' * (1 - n::float / $1::int) as due
       from generate_series(1, $1::int) as n) as numbered`,
    [events, users, seconds],
  );
  await database.query('analyze files');
}

/** The number of events that are not acknowledged. */
export async function countUndelivered(database: pg.Pool): Promise<number> {
  const { rows } = await database.query(
    'select count(*)::int as count from files where event_due_at is not null',
  );
  return rows[0].count;
}
