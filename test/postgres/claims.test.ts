import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { DueFile, FileStore } from '../../src/files/ports.ts';
import { createPool, createDatabase as createRunner } from '../../src/postgres/connection/database.ts';
import { createFileStore } from '../../src/postgres/file-store.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { createDatabase, type TestDatabase } from '../harness/database.ts';
import { ample } from '../harness/deadline.ts';
import { LONG } from '../harness/long-form.ts';

/** What the sweeper claims at once. */
const BATCH = 50;
const LEASE_SECONDS = 600;

const LIMITS = {
  urlSeconds: 3_600,
  multipartSeconds: 604_800,
  verificationTtlSeconds: 900,
  longestUploadSeconds: 86_400,
  pendingMax: 1_000,
  pendingMultipartMax: 100,
};

let database: TestDatabase;
let pool: pg.Pool;
beforeAll(async () => {
  database = await createDatabase();
  // As the service has it, with one connection: its plans are those that are kept.
  pool = createPool({
    url: database.url,
    maxConnections: 1,
    connectTimeoutMs: 10_000,
    statementTimeoutMs: 600_000,
    onIdleError: () => undefined,
  });
  await migrate(pool);
}, 60_000);
afterAll(async () => {
  await pool.end();
  await database.drop();
});
beforeEach(async () => {
  await pool.query('truncate files');
});

const openStore = () =>
  createFileStore(
    createRunner(pool, (_, run) => run()),
    LIMITS,
  );

/** Tombstones. @param user in SQL, of their number `n` @param dueInSeconds of the youngest; each is older than the one before */
async function fill(user: string, rows: number, dueInSeconds: number): Promise<void> {
  await pool.query(
    `insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, url_expire_at, due_at)
     select ${user}, ${user} || '_' || n, 'deleted', '', '', '', now(),
       now() + $2 * interval '1 s' - n * interval '1 ms'
     from generate_series(1, $1::int) as n`,
    [rows, dueInSeconds],
  );
  await pool.query('analyze files');
}

const userOf = (due: DueFile) => (due.state === 'deleted' ? due.ref.userId : due.file.userId);

/** How many rows of each user the next claim has. */
async function claim(store: FileStore): Promise<Record<string, number>> {
  const due = await store.leaseDue(BATCH, LEASE_SECONDS, ample());
  const users = Map.groupBy(due, userOf);
  return Object.fromEntries([...users].map(([user, rows]) => [user, rows.length]));
}

async function claims(store: FileStore, count: number): Promise<Record<string, number>> {
  const sum: Record<string, number> = {};
  for (let i = 0; i < count; i++) {
    for (const [user, rows] of Object.entries(await claim(store))) sum[user] = (sum[user] ?? 0) + rows;
  }
  return sum;
}

const total = (users: Record<string, number>) => Object.values(users).reduce((sum, rows) => sum + rows, 0);

describe('while one user has a backlog of 20,000 rows, all of them older', () => {
  beforeEach(() => fill(`'m'`, 20_000, -86_400));

  it.each([0, 1, 2])(
    'twenty others with a row each get all of them with the first claim or the second, after %i claims before',
    async (before) => {
      const store = openStore();
      await fill(`'a' || n`, 10, -1);
      await claims(store, before);
      await fill(`'b' || n`, 10, -1);
      await fill(`'z' || n`, 10, -1);
      const { m: backlog = 0, ...others } = await claims(store, 2);
      const young = Object.keys(others).filter((user) => !user.startsWith('a'));
      expect(young).toHaveLength(20);
      expect(backlog + total(others), 'a claim is as large as asked for').toBe(2 * BATCH);
    },
  );

  it('another backlog, however small, is shared with evenly', async () => {
    await fill(`'z'`, 500, -1);
    const { m = 0, z = 0 } = await claims(openStore(), 10);
    expect(m + z).toBe(10 * BATCH);
    expect(z).toBeGreaterThanOrEqual(10 * BATCH * 0.4);
  });

  it('is worked off in whole claims where nobody else waits', async () => {
    expect(await claims(openStore(), 3)).toEqual({ m: 3 * BATCH });
  });

  it('whoever comes among many with something due has their turn within a round', async () => {
    await fill(`'x' || lpad(n::text, 3, '0')`, 200, -1);
    const { m: _, ...others } = await claims(openStore(), 7);
    expect(Object.keys(others)).toHaveLength(200);
  });

  it('waits on, but not for ever, where very many users have rows that are not due yet', async () => {
    await fill(`'l' || n`, 5_000, 3_600);
    await fill(`'z' || n`, 20, -1);
    const store = openStore();
    // A thousand users are examined at once: the sixth claim comes to those behind all others.
    const { m: backlog = 0, ...others } = await claims(store, 7);
    expect(backlog).toBeGreaterThanOrEqual(6 * BATCH);
    expect(Object.keys(others)).toHaveLength(20);
  });
});

it('rows that have waited longest are in every claim, whoever’s turn it is', async () => {
  await fill(`'a' || n`, 3_000, -1);
  await fill(`'z'`, 30, -86_400);
  const { z } = await claims(openStore(), 3);
  expect(z).toBe(30);
});

interface Node {
  'Shared Hit Blocks': number;
  'Shared Read Blocks': number;
}

/** Median milliseconds of a claim, and the pages of 8 kB that one of them reads; nothing is taken. */
async function costOfClaim(): Promise<{ ms: number; buffers: number }> {
  const costs: { ms: number; buffers: number }[] = [];
  const counting = createFileStore(
    {
      async run(statement, params) {
        const values = statement.values(params).map((value) => `'${value}'`);
        await pool.query('deallocate all');
        await pool.query(`prepare claim as ${statement.text}`);
        await pool.query('begin');
        const explain = `explain (analyze, buffers, timing off, format json) execute claim (${values.join(', ')})`;
        const { rows } = await pool.query(explain);
        await pool.query('rollback');
        const [{ Plan, 'Execution Time': ms }] = rows[0]['QUERY PLAN'] as [
          { Plan: Node; 'Execution Time': number },
        ];
        costs.push({ ms, buffers: Plan['Shared Hit Blocks'] + Plan['Shared Read Blocks'] });
        return [];
      },
    },
    LIMITS,
  );
  for (let i = 0; i < 5; i++) await counting.leaseDue(BATCH, LEASE_SECONDS, ample());
  costs.sort((a, b) => a.ms - b.ms);
  return costs[2] ?? { ms: Number.NaN, buffers: Number.NaN };
}

it('a claim costs what it takes, and not what is due', { timeout: 120_000 }, async () => {
  const empty = await costOfClaim();
  const backlogs = LONG ? [1_000, 20_000, 500_000] : [1_000, 20_000, 100_000];
  const costs = [];
  for (const rows of backlogs) {
    await pool.query('truncate files');
    await fill(`'m'`, rows, -86_400);
    await fill(`'z' || n`, 20, -1);
    costs.push(await costOfClaim());
  }
  await fill(`'l' || n`, 20_000, 3_600);
  const crowded = await costOfClaim();
  const told = [empty, ...costs, crowded].map(({ ms, buffers }) => `${ms.toFixed(1)} ms (${buffers} pages)`);
  process.stdout.write(`a claim, by what is due, from none on: ${told.join(', ')}\n`);
  // For each row: the way to it in three indexes, twice, and its new version in all of them.
  for (const { buffers } of costs) expect(buffers).toBeLessThan(BATCH * 60);
  // Of a thousand users: the way down one index for each.
  expect(crowded.buffers).toBeLessThan(BATCH * 60 + 1_000 * 5);
});
