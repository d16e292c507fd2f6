import { expect, it, vi } from 'vitest';
import { ampleCall } from '../harness/deadline.ts';
import { openPlannedDatabase } from './planned-database.ts';

const ROWS = 100_000;
/**
 * Each user has a hundred files that lie together, and one user has a tenth of all files. A generic plan
 * expects a hundred files for that user as well. Reading all of them by the primary key and sorting them then
 * looks as cheap as reading the index of pages. In this way, Postgres read all 10,000 files of that user in 31 ms.
 */
it('a page is read from its index and not sorted, although the files of each user lie together', async () => {
  await using database = await openPlannedDatabase();
  const { pool } = database;
  await pool.query(
    `insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, size, etag, last_modified, verified_at, url_expire_at)
     select u, u || '_' || n || '.pdf', 'ready', n || '.pdf', 'application/pdf', decode(md5(n::text), 'hex'), n, md5(n::text),
       now() - n * interval '1 s', now(), now()
     from generate_series(1, $1::int) as n,
       lateral (select case when n <= $1::int / 10 then 'big' else 'user-' || n / 100 end) as user_of (u)`,
    [ROWS],
  );
  await pool.query('vacuum analyze files');
  const scans = async () => {
    const { rows } = await pool.query<{ name: string; read: string }>(
      `select indexrelname as name, idx_tup_read as read from pg_stat_user_indexes where relname = 'files'`,
    );
    return Object.fromEntries(rows.map(({ name, read }) => [name, Number(read)]));
  };
  const before = await scans();
  const query = { filenamePrefix: '', after: undefined, limit: 101 };
  expect((await database.openStore().list(ampleCall('big'), query, 300)).ready).toHaveLength(101);
  let after = before;
  const read = (name: string) => (after[name] ?? 0) - (before[name] ?? 0);
  // Postgres counts the scans of an index with a delay of up to a second. Only version 15 and later can be asked to
  // count at once.
  const counted = async () => {
    after = await scans();
    expect(read('files_ready')).toBeGreaterThan(0);
  };
  await vi.waitFor(counted, { timeout: 10_000, interval: 100 });
  expect(read('files_pkey')).toBe(0);
  expect(read('files_ready')).toBeLessThan(200);
});
