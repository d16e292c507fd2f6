import type pg from 'pg';

/**
 * Makes all rows older, or the rows of one user, as if this time had passed. The service compares the times in rows
 * with Postgres's clock only, which a test cannot move. `last_modified` is a time of S3, so it does not change.
 */
export async function passTime(pool: pg.Pool, seconds: number, userId?: string): Promise<void> {
  await pool.query(
    `update files set create_time = create_time - age, verified_at = verified_at - age,
       url_expire_at = url_expire_at - age, due_at = due_at - age,
       event_due_at = event_due_at - age
     from (select $1 * interval '1 s') as passed (age)
     where $2::text is null or user_id = $2`,
    [seconds, userId],
  );
}

/** Makes the last verification of the user's files older than VERIFICATION_TTL_SECONDS, and changes nothing else. */
export async function expireVerifications(pool: pg.Pool, userId: string): Promise<void> {
  await pool.query(`update files set verified_at = now() - interval '1 day' where user_id = $1`, [userId]);
}
