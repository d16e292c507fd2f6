import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Prepared } from '../../src/postgres/statements/prepared.ts';
import { leaseDue, oldestDue } from '../../src/postgres/statements/sweeps.ts';
import { ampleWork } from '../harness/deadline.ts';
import { openPlannedDatabase, type PlannedDatabase } from './planned-database.ts';

/** Rows that came due and were removed again while a dump runs. */
const CHURNED = 50_000;
const BEGINNING = new Date(0);

let planned: PlannedDatabase;
let pool: pg.Pool;
let dump: pg.Client;
beforeAll(async () => {
  planned = await openPlannedDatabase();
  pool = planned.pool;
  dump = new pg.Client({ connectionString: planned.url });
  await dump.connect();
});
afterAll(async () => {
  await dump.end();
  await planned[Symbol.asyncDispose]();
});

/** Inserts tombstones that came due `dueSeconds` ago, a millisecond apart, in random places of the table. */
async function fill(user: string, rows: number, dueSeconds: number): Promise<void> {
  await pool.query(
    `insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, url_expire_at, due_at)
     select ${user}, ${user} || '_' || n, 'deleted', '', '', '', now(),
       now() - $2 * interval '1 s' - n * interval '1 ms'
     from generate_series(1, $1::int) as n order by random()`,
    [rows, dueSeconds],
  );
}

async function searchOldest(dueFrom: Date) {
  const [row] = await planned.database.run(ampleWork(), oldestDue, { dueFrom });
  return row ?? expect.fail('the statement always returns a row');
}

/** The 8 kB pages that the statement reads. Its changes are rolled back. */
async function pagesOf<Params>(statement: Prepared<Params, unknown>, params: Params): Promise<number> {
  const values = statement.values(params).map((value) => pg.escapeLiteral(String(value)));
  await pool.query('deallocate all');
  await pool.query(`prepare measured as ${statement.text}`);
  await pool.query('begin');
  const { rows } = await pool.query(
    `explain (analyze, buffers, timing off, format json) execute measured (${values.join(', ')})`,
  );
  await pool.query('rollback');
  const [{ Plan }] = rows[0]['QUERY PLAN'];
  return Plan['Shared Hit Blocks'] + Plan['Shared Read Blocks'];
}

const lease = { limit: 50, leaseSeconds: 60, lastUser: '', longestUploadSeconds: 86_400 };

describe('while a session holds a snapshot and 50,000 rows have come due and gone', () => {
  beforeAll(async () => {
    // Half of them are the rows of the first user, whom a lease with a backlog examines first.
    await fill(`case when n % 2 = 0 then 'first' else 'user ' || n % 100 end`, CHURNED, 3_600);
    await pool.query('vacuum analyze files');
    await dump.query('begin isolation level repeatable read');
    await dump.query('select count(*) from files');
    await pool.query('delete from files');
  }, 60_000);
  afterAll(() => dump.query('rollback'));

  it('a search of all due rows passes their entries, and the next search and a lease do not', async () => {
    await fill(`'z'`, 1, 60);
    const { due_from: dueFrom, overdue_seconds: seconds } = await searchOldest(BEGINNING);
    expect(seconds).toBeGreaterThanOrEqual(60);
    // The snapshot keeps the entries: without a bound, each of them is looked up in the table.
    expect(await pagesOf(oldestDue, { dueFrom: BEGINNING })).toBeGreaterThan(CHURNED / 2);
    expect(await pagesOf(leaseDue, { ...lease, dueFrom: BEGINNING })).toBeGreaterThan(CHURNED / 2);
    expect(await pagesOf(oldestDue, { dueFrom })).toBeLessThan(10);
    expect(await pagesOf(leaseDue, { ...lease, dueFrom })).toBeLessThan(100);
  });

  it('nor does a lease with a backlog, which also searches the index by user', async () => {
    await fill(`'user ' || n % 100`, 200, 30);
    const { due_from: dueFrom } = await searchOldest(BEGINNING);
    // A lease writes 50 rows, each into all indexes. Of the removed rows it passes entries in the index by
    // user, 150 on a page, and looks none of them up in the table.
    const leased = await pagesOf(leaseDue, { ...lease, dueFrom });
    expect(leased).toBeLessThan(50 * 60 + CHURNED / 100);
    expect(await pagesOf(leaseDue, { ...lease, dueFrom: BEGINNING })).toBeGreaterThan(leased + CHURNED / 2);
  });
});

describe('the next search begins', () => {
  it('at the oldest due row', async () => {
    await pool.query('truncate files');
    await fill(`'a'`, 3, 60);
    const { due_from: dueFrom } = await searchOldest(BEGINNING);
    const { rows } = await pool.query('select min(due_at) as oldest from files');
    expect(dueFrom).toEqual(rows[0].oldest);
    expect(await searchOldest(dueFrom)).toMatchObject({ due_from: dueFrom });
  });

  it('five seconds before now if no row is due, because a statement that has begun may be committed later', async () => {
    await pool.query('truncate files');
    await fill(`'a'`, 3, -3_600);
    const { due_from: dueFrom, overdue_seconds: seconds } = await searchOldest(BEGINNING);
    expect(seconds).toBe(0);
    const { rows } = await pool.query(
      'select extract(epoch from now() - $1::timestamptz)::float8 as before',
      [dueFrom],
    );
    expect(rows[0].before).toBeGreaterThanOrEqual(5);
    expect(rows[0].before).toBeLessThan(60);
  });
});
