import { beforeEach, describe, expect, it } from 'vitest';
import { refOf } from '../../src/files/maintenance/sweep.ts';
import type { FileStore } from '../../src/files/ports/file-store.ts';
import { createEventQueue } from '../../src/postgres/file-store/event-queue.ts';
import { ampleWork } from '../harness/deadline.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { LONG } from '../harness/long-form.ts';
import { openPlannedDatabase } from './planned-database.ts';

/** The size of the sweeper's leases. */
const BATCH = 50;
const LEASE_SECONDS = 600;

const database = forAllTests(openPlannedDatabase);
const openStore = () => database.openStore();
beforeEach(async () => {
  await database.pool.query('truncate files');
});

/**
 * Inserts tombstones. Row `n` is due `n` ms before `dueInSeconds`.
 *
 * @param user an SQL expression of the row's number `n`
 */
async function fill(user: string, rows: number, dueInSeconds: number): Promise<void> {
  await database.pool.query(
    `insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, url_expire_at, due_at)
     select ${user}, ${user} || '_' || n, 'deleted', '', '', decode(md5(n::text), 'hex'), now(),
       now() + $2 * interval '1 s' - n * interval '1 ms'
     from generate_series(1, $1::int) as n`,
    [rows, dueInSeconds],
  );
  await database.pool.query('analyze files');
}

/** The number of rows of each user in the next lease. */
async function leaseNext(store: FileStore): Promise<Record<string, number>> {
  const due = await store.leaseDue(ampleWork(), BATCH, LEASE_SECONDS);
  const users = Map.groupBy(due, (row) => refOf(row).userId);
  return Object.fromEntries([...users].map(([user, rows]) => [user, rows.length]));
}

async function leases(store: FileStore, count: number): Promise<Record<string, number>> {
  const sum: Record<string, number> = {};
  for (let i = 0; i < count; i++) {
    for (const [user, rows] of Object.entries(await leaseNext(store))) sum[user] = (sum[user] ?? 0) + rows;
  }
  return sum;
}

const total = (users: Record<string, number>) => Object.values(users).reduce((sum, rows) => sum + rows, 0);

describe('while one user has a backlog of 20,000 rows, all of them older', () => {
  beforeEach(() => fill(`'m'`, 20_000, -86_400));

  it.each([0, 1, 2])(
    'twenty others with a row each get all their rows in two leases, after %i leases before',
    async (before) => {
      const store = openStore();
      await fill(`'a' || n`, 10, -1);
      await leases(store, before);
      await fill(`'b' || n`, 10, -1);
      await fill(`'z' || n`, 10, -1);
      const { m: backlog = 0, ...others } = await leases(store, 2);
      const young = Object.keys(others).filter((user) => !user.startsWith('a'));
      expect(young).toHaveLength(20);
      expect(backlog + total(others), 'a lease is as large as asked for').toBe(2 * BATCH);
    },
  );

  it('a second, small backlog gets an even share', async () => {
    await fill(`'z'`, 500, -1);
    const { m = 0, z = 0 } = await leases(openStore(), 10);
    expect(m + z).toBe(10 * BATCH);
    expect(z).toBeGreaterThanOrEqual(10 * BATCH * 0.4);
  });

  it('the backlog fills whole leases while no other user has due rows', async () => {
    expect(await leases(openStore(), 3)).toEqual({ m: 3 * BATCH });
  });

  it('each of 200 users with a due row is served within one round', async () => {
    await fill(`'x' || lpad(n::text, 3, '0')`, 200, -1);
    const { m: _, ...others } = await leases(openStore(), 7);
    expect(Object.keys(others)).toHaveLength(200);
  });

  it.each([3, 21, 30, 39, 41, 90, 150])(
    '%i others with backlogs get an even share of the leases',
    async (users) => {
      await fill(`'z' || n % ${users}`, users * 30, -1);
      const { m: _, ...others } = await leases(openStore(), 12);
      const rows = Object.values(others);
      expect(rows).toHaveLength(users);
      expect(Math.max(...rows) - Math.min(...rows)).toBeLessThanOrEqual(2);
    },
  );

  it('the twenty last of 5,020 users are served within seven leases although 5,000 users have no due rows', async () => {
    await fill(`'l' || n`, 5_000, 3_600);
    await fill(`'z' || n`, 20, -1);
    const store = openStore();
    // A lease examines a thousand users, so the sixth lease reaches the users at the end of the order.
    const { m: backlog = 0, ...others } = await leases(store, 7);
    expect(backlog).toBeGreaterThanOrEqual(6 * BATCH);
    expect(Object.keys(others)).toHaveLength(20);
  });
});

it('every lease contains the rows that have been due longest, whatever user’s turn it is', async () => {
  await fill(`'a' || n`, 3_000, -1);
  await fill(`'z'`, 30, -86_400);
  const { z } = await leases(openStore(), 3);
  expect(z).toBe(30);
});

it('an event lease gives every user the same number of events, also where the turns begin again', async () => {
  await fill(`'u' || lpad((n % 90)::text, 2, '0')`, 900, -1);
  await database.pool.query('update files set event_due_at = due_at');
  const events = createEventQueue(database.database);
  const counts = new Map<string, number>();
  for (let lease = 0; lease < 9; lease++) {
    for (const { userId } of await events.leaseEvents(ampleWork(), BATCH, LEASE_SECONDS)) {
      counts.set(userId, (counts.get(userId) ?? 0) + 1);
    }
  }
  const rows = [...counts.values()];
  expect(rows).toHaveLength(90);
  // In 9 leases, each user has 4 turns. The other events are those of the users with the oldest ones.
  expect(Math.min(...rows)).toBeGreaterThanOrEqual(4);
  expect(Math.max(...rows)).toBeLessThanOrEqual(6);
});

interface Node {
  'Shared Hit Blocks': number;
  'Shared Read Blocks': number;
}

/**
 * The median milliseconds of five leases, and the 8 kB pages that the median lease reads. Each lease is
 * rolled back.
 */
async function costOfLease(): Promise<{ ms: number; buffers: number }> {
  const costs: { ms: number; buffers: number }[] = [];
  const counting = database.openStore({
    async run(_, statement, params) {
      const values = statement.values(params).map((value) => `'${value}'`);
      await database.pool.query('deallocate all');
      await database.pool.query(`prepare lease as ${statement.text}`);
      await database.pool.query('begin');
      const explain = `explain (analyze, buffers, timing off, format json) execute lease (${values.join(', ')})`;
      const { rows } = await database.pool.query(explain);
      await database.pool.query('rollback');
      const [{ Plan, 'Execution Time': ms }] = rows[0]['QUERY PLAN'] as [
        { Plan: Node; 'Execution Time': number },
      ];
      costs.push({ ms, buffers: Plan['Shared Hit Blocks'] + Plan['Shared Read Blocks'] });
      return [];
    },
  });
  for (let i = 0; i < 5; i++) await counting.leaseDue(ampleWork(), BATCH, LEASE_SECONDS);
  costs.sort((a, b) => a.ms - b.ms);
  return costs[2] ?? { ms: Number.NaN, buffers: Number.NaN };
}

it('the cost of a lease does not grow with the number of due rows', { timeout: 120_000 }, async () => {
  const empty = await costOfLease();
  const backlogs = LONG ? [1_000, 20_000, 500_000] : [1_000, 20_000, 100_000];
  const costs = [];
  for (const rows of backlogs) {
    await database.pool.query('truncate files');
    await fill(`'m'`, rows, -86_400);
    await fill(`'z' || n`, 20, -1);
    costs.push(await costOfLease());
  }
  await fill(`'l' || n`, 20_000, 3_600);
  const crowded = await costOfLease();
  const report = [empty, ...costs, crowded].map(
    ({ ms, buffers }) => `${ms.toFixed(1)} ms (${buffers} pages)`,
  );
  process.stdout.write(`a lease, by the number of due rows, from 0 on: ${report.join(', ')}\n`);
  // A lease reads these pages for each row: the path to the row in three indexes, twice, and the pages of all indexes
  // that get the row's new version.
  for (const { buffers } of costs) expect(buffers).toBeLessThan(BATCH * 60);
  // In addition, a lease reads the path down one index for each of a thousand examined users.
  expect(crowded.buffers).toBeLessThan(BATCH * 60 + 1_000 * 5);
});
