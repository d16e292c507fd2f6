import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createPool } from '../../src/postgres/connection/pool.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import type { Prepared } from '../../src/postgres/statements/prepared.ts';
import { createDatabase, type TestDatabase } from '../harness/database.ts';

/** The default of `jit_above_cost`. Postgres compiles a statement that seems more expensive at each run. */
const JIT_ABOVE_COST = 100_000;

const STATEMENTS = join(import.meta.dirname, '../../src/postgres/statements');

/** Every statement that a module of the folder exports, so that a new statement is tested without a new line. */
async function allStatements(): Promise<Prepared<never, unknown>[]> {
  const entries = await readdir(STATEMENTS, { recursive: true });
  const files = entries.filter((entry) => entry.endsWith('.ts'));
  const modules: Record<string, unknown>[] = await Promise.all(
    files.map((file) => import(join(STATEMENTS, file))),
  );
  const exported = modules.flatMap((module) => Object.values(module));
  // Some statements have two forms, which are exported as one object.
  const forms = exported.flatMap((value) => (typeof value === 'object' ? Object.values(value ?? {}) : []));
  return [...exported, ...forms].filter(isStatement);
}

function isStatement(value: unknown): value is Prepared<never, unknown> {
  return typeof value === 'object' && value !== null && 'text' in value && 'reads' in value;
}

const statements = await allStatements();

let database: TestDatabase;
let pool: pg.Pool;
beforeAll(async () => {
  database = await createDatabase();
  pool = createPool({
    urls: [database.url],
    maxConnections: 1,
    connectTimeoutMs: 10_000,
    statementTimeoutMs: 60_000,
    onIdleError: () => undefined,
  });
  await migrate(pool);
  await pool.query(
    `insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, url_expire_at, due_at, pending_slot)
     select 'user ' || i % 100, 'key ' || i, 'pending', 'a', 'text/plain', decode(md5(i::text), 'hex'), now(), now(), i
     from generate_series(1, 20000) i`,
  );
  await pool.query('vacuum analyze files');
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

it('the folder has statements', () => {
  expect(statements.length).toBeGreaterThan(15);
  expect(statements.map(({ name }) => name)).toContain('mark_ready_announced');
});

it.each(statements.map((statement) => [statement.name, statement.text]))(
  'Postgres does not compile %s, because its cost is below jit_above_cost',
  async (_, text) => {
    await pool.query('deallocate all');
    await pool.query(`prepare statement as ${text}`);
    const { rows: types } = await pool.query(
      `select cardinality(parameter_types) as count from pg_prepared_statements where name = 'statement'`,
    );
    const nulls = Array.from({ length: types[0].count }, () => 'null').join(', ');
    const { rows } = await pool.query(
      `explain (format json) execute statement${nulls === '' ? '' : ` (${nulls})`}`,
    );
    expect(rows[0]['QUERY PLAN'][0].Plan['Total Cost']).toBeLessThan(JIT_ABOVE_COST);
  },
);
