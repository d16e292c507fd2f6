/**
 * Whether it stays as fast when the table grows: `npm run bench -- --scale [ROWS]`, ten million by default, of which one
 * user has a million. Times are a statement's own, over one connection, warm: the median of many.
 */
import { createHash } from 'node:crypto';
import { fingerprintOf } from '../../src/files/fingerprint.ts';
import { parseMd5 } from '../../src/files/md5.ts';
import { createDatabase, createPool } from '../../src/postgres/database.ts';
import { createFileStore } from '../../src/postgres/file-store.ts';
import { median } from './report.ts';
import { startServers } from './servers.ts';

const SMALL_ROWS = 10_000;
const BIG_USER = 'big';
const BIG_SHARE = 0.1;
const FILES_PER_USER = 100;
const PAGE = 101;
const REPEATS = 200;
const HOUR_MS = 3_600_000;

const LIMITS = {
  urlSeconds: 3_600,
  multipartSeconds: 604_800,
  trustSeconds: 900,
  longestUploadSeconds: 86_400,
  pendingMax: 30_000,
};

export async function measureScale(rows: number): Promise<string> {
  await using servers = await startServers();
  const small = await measureAt(SMALL_ROWS, servers);
  const large = await measureAt(rows, servers);
  const lines = Object.keys(large.times).map((name) => {
    const [before, after] = [small.times[name], large.times[name]];
    return `| ${name} | ${milliseconds(before)} | ${milliseconds(after)} |`;
  });
  const indexes = large.indexes.map(({ name, bytes }) => `${name} ${bytes.toFixed(0)}`).join(', ');
  return [
    `| ms | ${SMALL_ROWS} rows | ${rows} rows |`,
    '|---|---|---|',
    ...lines,
    '',
    `Bytes per row: table ${large.tableBytes.toFixed(0)}; indexes ${indexes}.`,
    `Index scans of all of this: ${large.indexes.map(({ name, scans }) => `${name} ${scans}`).join(', ')}.`,
  ].join('\n');
}

function milliseconds(value: number | undefined): string {
  return value === undefined ? '' : value.toFixed(2);
}

async function measureAt(rows: number, servers: Awaited<ReturnType<typeof startServers>>) {
  const { DATABASE_URL } = await servers.environment();
  const poolOptions = {
    url: DATABASE_URL,
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
    `insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, size, etag, last_modified, seen_at, url_expire_at)
     select u, u || '_' || n || '.pdf', 'ready', n || '.pdf', 'application/pdf', decode(md5(n::text), 'hex'), n, md5(n::text),
       now() - n * interval '1 s', now(), now()
     from generate_series(1, $1::int) as n,
       lateral (select case when n <= $2::int then '${BIG_USER}' else 'user-' || n / ${FILES_PER_USER} end) as user_of (u)`,
    [rows, bigRows],
  );
  await pool.query('vacuum analyze files');

  const query = { userId: BIG_USER, filenamePrefix: '', limit: PAGE };
  /** Where page `number` begins, as whoever walked there would hold it in a token. */
  const positionOf = async (number: number) => {
    const { rows: found } = await pool.query<{ last_modified: Date; s3_key: string }>(
      `select last_modified, s3_key from files where user_id = $1 and state = 'ready'
       order by last_modified desc, s3_key desc offset $2 limit 1`,
      [BIG_USER, (number - 1) * 100],
    );
    const [row] = found;
    return row && { lastModified: row.last_modified, s3Key: row.s3_key };
  };
  let made = 0;
  const intent = () => {
    const filename = `new ${made++}.pdf`;
    const sum = createHash('md5').update(filename).digest('hex');
    return {
      userId: `user-${made}`,
      s3Key: `user-${made}_${filename}`,
      filename,
      mimeType: 'application/pdf',
      fingerprint: fingerprintOf(parseMd5(sum)),
      size: 1,
    };
  };
  const operations: Record<string, () => Promise<unknown>> = {
    'page 1': () => store.list({ ...query, after: undefined }, 300, far()),
    ...(await pages([1_000, 9_000])),
    'page 1 of a prefix': () => store.list({ ...query, filenamePrefix: '1', after: undefined }, 300, far()),
    create: () => store.reserve(intent(), far()),
    get: () => store.find({ userId: BIG_USER, s3Key: `${BIG_USER}_7.pdf` }, far()),
    delete: () => store.markDeleted({ userId: BIG_USER, s3Key: `${BIG_USER}_${10 + made++}.pdf` }, far()),
    "the sweeper's claim": () => store.claimDue(50, 60, far()),
  };
  async function pages(numbers: number[]): Promise<typeof operations> {
    const found: typeof operations = {};
    for (const number of numbers) {
      const after = await positionOf(number);
      if (after !== undefined) found[`page ${number}`] = () => store.list({ ...query, after }, 0, far());
    }
    return found;
  }
  const times: Record<string, number> = {};
  for (const [name, run] of Object.entries(operations)) times[name] = await timeOf(run);

  const { rows: sizes } = await pool.query<{ name: string; bytes: number; scans: number }>(
    `select indexrelname as name, pg_relation_size(indexrelid)::float8 / $1 as bytes, idx_scan::int as scans
     from pg_stat_user_indexes where relname = 'files' order by 1`,
    [rows],
  );
  const { rows: tables } = await pool.query<{ bytes: number }>(
    `select pg_table_size('files')::float8 / $1 as bytes`,
    [rows],
  );
  await pool.end();
  return { times, indexes: sizes, tableBytes: tables[0]?.bytes ?? Number.NaN };
}

/** Milliseconds, by the median. */
async function timeOf(run: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < REPEATS; i++) {
    const startMs = performance.now();
    await run();
    times.push(performance.now() - startMs);
  }
  // The first ones find the plan and the pages.
  return median(times.slice(REPEATS / 4));
}
