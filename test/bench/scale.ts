/**
 * Measures whether statements stay fast when the table grows: `npm run bench -- --scale [ROWS]`. The default
 * is ten million rows, a tenth of them of one user. Each time is the median of many runs of one statement,
 * over one warm connection.
 */
import { createHash } from 'node:crypto';
import type pg from 'pg';
import { fingerprintOf } from '../../src/files/rules/fingerprint.ts';
import { parseMd5 } from '../../src/files/rules/md5.ts';
import { parseS3Key, type S3Key } from '../../src/files/rules/s3-key.ts';
import { createDatabase } from '../../src/postgres/connection/database.ts';
import { createPool } from '../../src/postgres/connection/pool.ts';
import { createFileStore } from '../../src/postgres/file-store.ts';
import { find, listFirstPage, listNextPage, searchFirstPage } from '../../src/postgres/statements/reads.ts';
import { reserve } from '../../src/postgres/statements/reservations.ts';
import { leaseDue } from '../../src/postgres/statements/sweeps.ts';
import { markDeleted } from '../../src/postgres/statements/transitions.ts';
import { measuredOn } from '../harness/readme-table.ts';
import { median } from './report.ts';
import { type BenchServers, startServers } from './servers.ts';

const SMALL_ROWS = 10_000;
const BIG_USER = 'big';
const BIG_SHARE = 0.1;
const FILES_PER_USER = 100;
/**
 * Few users create files, so that the pages that they write to stay in Postgres's memory for any size of the
 * table.
 */
const ACTIVE_USERS = 20;
const PAGE = 101;
const REPEATS = 400;
const HOUR_MS = 3_600_000;

const LIMITS = {
  urlSeconds: 3_600,
  multipartSeconds: 604_800,
  verificationTtlSeconds: 900,
  longestUploadSeconds: 86_400,
  pendingMultipartMax: 100,
  pendingMax: 30_000,
};

interface Scale {
  table: string;
  /** One line for each exceeded budget. */
  over: string[];
}

export async function measureScale(rows: number): Promise<Scale> {
  await using servers = await startServers();
  const small = await fillTable(SMALL_ROWS, servers);
  const large = await fillTable(rows, servers);
  const times = await timesOf([small.operations, large.operations]);
  const lines = await Promise.all(
    Object.entries(times).map(async ([name, [before, after]]) => {
      const plan = await planOf(statementOf(name), large.pool);
      return `| ${name} | ${milliseconds(before)} | ${milliseconds(after)} | ${plan} |`;
    }),
  );
  const { tableBytes, indexes } = await sizesOf(large.pool, rows);
  await Promise.all([small.pool.end(), large.pool.end()]);
  const table = [
    `${measuredOn()}; medians of ${REPEATS - REPEATS / 4}, over one connection.`,
    '',
    `| ms | ${SMALL_ROWS.toLocaleString('en')} rows | ${rows.toLocaleString('en')} rows | what Postgres reads |`,
    '|---|---|---|---|',
    ...lines,
    '',
    '| table or index | bytes per row | scans in this run |',
    '|---|---|---|',
    `| files | ${tableBytes.toFixed(0)} | |`,
    ...indexes.map(({ name, bytes, scans }) => `| ${name} | ${bytes.toFixed(0)} | ${scans} |`),
  ].join('\n');
  return {
    table,
    over: [
      ...slower('page 9,000 than page 1', times['page 9,000']?.[1], times['page 1']?.[1], 1.3),
      ...slower(
        `create with ${rows} rows than with ${SMALL_ROWS}`,
        times.create?.[1],
        times.create?.[0],
        1.2,
      ),
    ],
  };
}

function slower(what: string, value = Number.NaN, than = Number.NaN, most: number): string[] {
  const ratio = value / than;
  return ratio <= most ? [] : [`${what}: ${ratio.toFixed(2)} times, but the budget is ${most}`];
}

function milliseconds(value: number | undefined): string {
  return value === undefined || Number.isNaN(value) ? '' : value.toFixed(2);
}

type Operations = Record<string, () => Promise<unknown>>;

async function fillTable(
  rows: number,
  servers: BenchServers,
): Promise<{ operations: Operations; pool: pg.Pool }> {
  const { DATABASE_URL } = await servers.environment();
  const poolOptions = {
    urls: [DATABASE_URL],
    maxConnections: 1,
    connectTimeoutMs: 10_000,
    statementTimeoutMs: 2 * HOUR_MS,
    onIdleError: () => undefined,
  };
  const pool = createPool(poolOptions);
  const store = createFileStore(
    createDatabase(pool, (_, run) => run(), poolOptions),
    LIMITS,
  );
  const far = () => Date.now() + HOUR_MS;
  const bigRows = rows * BIG_SHARE;
  await pool.query(
    `insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, size, etag, last_modified, verified_at, url_expire_at)
     select u, u || '_' || n || '.pdf', 'ready', n || '.pdf', 'application/pdf', decode(md5(n::text), 'hex'), n, md5(n::text),
       now() - n * interval '1 s', now(), now()
     from generate_series(1, $1::int) as n,
       lateral (select case when n <= $2::int then '${BIG_USER}' else 'user-' || n / ${FILES_PER_USER} end) as user_of (u)`,
    [rows, bigRows],
  );
  await pool.query('vacuum analyze files');

  const query = { filenamePrefix: '', limit: PAGE };
  /** The position after which page `number` begins, as a page token would hold it. */
  const positionOf = async (number: number) => {
    const { rows: found } = await pool.query<{ last_modified: Date; s3_key: S3Key }>(
      `select last_modified, s3_key from files where user_id = $1 and state = 'ready'
       order by last_modified desc, s3_key desc offset $2 limit 1`,
      [BIG_USER, (number - 1) * 100],
    );
    const [row] = found;
    return row && { lastModified: row.last_modified, s3Key: row.s3_key };
  };
  const as = (userId: string) => ({ userId, deadline: far() });
  const big = () => as(BIG_USER);
  const keyOf = (filename: string) => parseS3Key(`${BIG_USER}_${filename}`);
  let made = 0;
  const create = () => {
    const filename = `new ${made++}.pdf`;
    const userId = `user-${made % ACTIVE_USERS}`;
    const sum = createHash('md5').update(filename).digest('hex');
    return store.reserve(as(userId), {
      s3Key: parseS3Key(`${userId}_${filename}`),
      filename,
      mimeType: 'application/pdf',
      fingerprint: fingerprintOf(parseMd5(sum)),
      size: 1,
    });
  };
  const operations: Operations = {
    'page 1': () => store.list(big(), { ...query, after: undefined }, 300),
    ...(await pages([1_000, 9_000])),
    'page 1 of a prefix': () => store.list(big(), { ...query, filenamePrefix: '1', after: undefined }, 300),
    'page 1 of a prefix that no name has': () =>
      store.list(big(), { ...query, filenamePrefix: 'rare', after: undefined }, 300),
    create,
    get: () => store.find(big(), keyOf('7.pdf')),
    delete: () => store.markDeleted(big(), keyOf(`${10 + made++}.pdf`)),
    "the sweeper's lease": () => store.leaseDue({ deadline: far() }, 50, 60),
  };
  async function pages(numbers: number[]): Promise<Operations> {
    const found: Operations = {};
    for (const number of numbers) {
      const after = await positionOf(number);
      if (after !== undefined)
        found[`page ${number.toLocaleString('en')}`] = () => store.list(big(), { ...query, after }, 0);
    }
    return found;
  }
  return { operations, pool };
}

/**
 * The median milliseconds of each operation. The tables take turns, so that other load on the machine affects
 * both.
 */
async function timesOf(tables: readonly [Operations, Operations]): Promise<Record<string, number[]>> {
  const [, large] = tables;
  const medians: Record<string, number[]> = {};
  for (const name of Object.keys(large)) {
    const times: number[][] = tables.map(() => []);
    for (let i = 0; i < REPEATS; i++) {
      for (const [table, operations] of tables.entries()) {
        const startMs = performance.now();
        await operations[name]?.();
        if (operations[name]) times[table]?.push(performance.now() - startMs);
      }
    }
    // The first quarter warms up: Postgres makes the plan and loads the pages.
    medians[name] = times.map((one) => median(one.slice(REPEATS / 4)));
  }
  return medians;
}

async function sizesOf(pool: pg.Pool, rows: number) {
  await pool.query('select pg_stat_force_next_flush()');
  const { rows: indexes } = await pool.query<{ name: string; bytes: number; scans: number }>(
    `select indexrelname as name, pg_relation_size(indexrelid)::float8 / $1 as bytes, idx_scan::int as scans
     from pg_stat_user_indexes where relname = 'files' order by 1`,
    [rows],
  );
  const { rows: tables } = await pool.query<{ bytes: number }>(
    `select pg_table_size('files')::float8 / $1 as bytes`,
    [rows],
  );
  return { indexes, tableBytes: tables[0]?.bytes ?? Number.NaN };
}

const STATEMENTS: Record<string, { text: string }> = {
  'page 1': listFirstPage,
  'page 1 of a prefix': searchFirstPage,
  'page 1 of a prefix that no name has': searchFirstPage,
  create: reserve.silent,
  get: find,
  delete: markDeleted.silent,
  "the sweeper's lease": leaseDue,
};

function statementOf(operation: string): { text: string } {
  return STATEMENTS[operation] ?? listNextPage;
}

/** The scans and indexes of the statement's generic plan. */
async function planOf({ text }: { text: string }, pool: pg.Pool): Promise<string> {
  const { rows } = await pool.query<{ 'QUERY PLAN': string }>(`explain (generic_plan, costs off) ${text}`);
  const scans = rows.flatMap((row) => /(?:\w+ )*Scan.* using \w+|Seq Scan/.exec(row['QUERY PLAN']) ?? []);
  return [...new Set(scans)].join('; ');
}
