import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { leaseEvents, oldestEvent } from '../../src/postgres/statements/events/deliveries.ts';
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

/**
 * Inserts tombstones that came due `dueSeconds` ago, a millisecond apart, in random places of the table. They are due for
 * the sweeper, and their events are due at the same times.
 */
async function fill(user: string, rows: number, dueSeconds: number): Promise<void> {
  await pool.query(
    `insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, url_expire_at, due_at, event_due_at,
       revision)
     select ${user}, ${user} || '_' || n, 'deleted', '', '', '', now(), due, due, extract(epoch from due) * 1000000
     from generate_series(1, $1::int) as n,
       lateral (select now() - $2 * interval '1 s' - n * interval '1 ms') as times (due)
     order by random()`,
    [rows, dueSeconds],
  );
}

/** The two queues: rows that are due for the sweeper, and events that are due for the dispatcher. */
const QUEUES = [
  { queue: 'due rows', column: 'due_at', oldest: oldestDue, lease: leaseDue },
  { queue: 'due events', column: 'event_due_at', oldest: oldestEvent, lease: leaseEvents },
] as const;
type Queue = (typeof QUEUES)[number];

async function searchOldest({ oldest }: Queue, dueFrom: Date): Promise<{ dueFrom: Date; seconds: number }> {
  const statement: Prepared<{ dueFrom: Date }, { due_from: Date }> = oldest;
  const [row] = await planned.database.run(ampleWork(), statement, { dueFrom });
  const { due_from, ...age } = row ?? expect.fail('the statement always returns a row');
  return { dueFrom: due_from, seconds: Number(Object.values(age)[0]) };
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

const leaseParams = {
  limit: 50,
  leaseSeconds: 60,
  lastUser: '',
  leaseNumber: 0,
  longestUploadSeconds: 86_400,
};

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

  it.each(QUEUES)(
    'a search of all $queue passes their entries, and the next search and a lease do not',
    async (queue) => {
      const { oldest, lease } = queue;
      await pool.query('delete from files');
      await fill(`'z'`, 1, 60);
      const { dueFrom, seconds } = await searchOldest(queue, BEGINNING);
      expect(seconds).toBeGreaterThanOrEqual(60);
      // The snapshot keeps the entries: without a bound, each of them is looked up in the table.
      expect(await pagesOf(oldest, { dueFrom: BEGINNING })).toBeGreaterThan(CHURNED / 2);
      expect(await pagesOf(lease, { ...leaseParams, dueFrom: BEGINNING })).toBeGreaterThan(CHURNED / 2);
      expect(await pagesOf(oldest, { dueFrom })).toBeLessThan(30);
      expect(await pagesOf(lease, { ...leaseParams, dueFrom })).toBeLessThan(100);
    },
  );

  it.each(QUEUES)(
    'nor does a lease of $queue with a backlog, which also searches the index by user',
    async (queue) => {
      await pool.query('delete from files');
      await fill(`'user ' || n % 100`, 200, 30);
      const { dueFrom } = await searchOldest(queue, BEGINNING);
      // A lease writes 50 rows, each into all indexes. Of the removed rows it passes entries in the index by
      // user, 150 on a page, and looks none of them up in the table.
      const leased = await pagesOf(queue.lease, { ...leaseParams, dueFrom });
      expect(leased).toBeLessThan(50 * 60 + CHURNED / 100);
      const all = await pagesOf(queue.lease, { ...leaseParams, dueFrom: BEGINNING });
      expect(all).toBeGreaterThan(leased + CHURNED / 2);
    },
  );
});

describe.each(QUEUES)('the next search of $queue begins', (queue) => {
  it('at the oldest row', async () => {
    await pool.query('truncate files');
    await fill(`'a'`, 3, 60);
    const { dueFrom } = await searchOldest(queue, BEGINNING);
    const { rows } = await pool.query(`select min(${queue.column}) as oldest from files`);
    expect(dueFrom).toEqual(rows[0].oldest);
    expect(await searchOldest(queue, dueFrom)).toMatchObject({ dueFrom });
  });

  it('five seconds before now if no row is due, because a statement that has begun may be committed later', async () => {
    await pool.query('truncate files');
    await fill(`'a'`, 3, -3_600);
    const { dueFrom, seconds } = await searchOldest(queue, BEGINNING);
    expect(seconds).toBe(0);
    const { rows } = await pool.query(
      'select extract(epoch from now() - $1::timestamptz)::float8 as before',
      [dueFrom],
    );
    expect(rows[0].before).toBeGreaterThanOrEqual(5);
    expect(rows[0].before).toBeLessThan(60);
  });
});
