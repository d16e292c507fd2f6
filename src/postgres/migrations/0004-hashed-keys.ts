import { type Kysely, sql } from 'kysely';

/** Releases since 0001 still work: they do not use the new index. */
export const serves = '0001-files';

/**
 * Finds pending uploads by key alone, for keys that have only the hash of a long user id. A message of S3 about such an
 * object names no user. Rows of other users, which are nearly all rows, are not in this index, so a create of another
 * user does not change it.
 *
 * The index is small, but Postgres reads the whole table to build it. For a large table, build it before this migration:
 *
 *     create index concurrently files_pending_hashed on files (s3_key)
 *       where state = 'pending' and s3_key like '.sha256-%';
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create index if not exists files_pending_hashed on files (s3_key)
    where state = 'pending' and s3_key like '.sha256-%'`.execute(db);
}
