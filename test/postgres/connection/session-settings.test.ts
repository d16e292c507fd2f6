import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fingerprintOf } from '../../../src/files/rules/fingerprint.ts';
import { parseMd5 } from '../../../src/files/rules/md5.ts';
import { createDatabase as databaseOn } from '../../../src/postgres/connection/database.ts';
import { createPool } from '../../../src/postgres/connection/pool.ts';
import { PINNED } from '../../../src/postgres/connection/session-settings.ts';
import { migrate } from '../../../src/postgres/migrate.ts';
import { createRowInventory } from '../../../src/postgres/row-inventory.ts';
import { createDatabase, openPool, type TestDatabase } from '../../harness/database.ts';
import { md5 } from '../../harness/random.ts';
import { STORE_LIMITS } from '../../harness/store-limits.ts';
import { fileStoreContract } from '../file-store.ts';
import { multipartContract } from '../file-store-multipart.ts';
import { openStore } from '../open-store.ts';
import { createRoleWith } from '../other-role.ts';

/** Has every pinned setting, with a value that an operator may have set for other applications. */
const OTHER: Record<keyof typeof PINNED, string> = {
  DateStyle: 'SQL, DMY',
  TimeZone: 'Asia/Kolkata',
  standard_conforming_strings: 'off',
  IntervalStyle: 'iso_8601',
  bytea_output: 'escape',
  extra_float_digits: '-15',
  client_min_messages: 'error',
  default_transaction_isolation: 'serializable',
  lock_timeout: '1min',
  idle_in_transaction_session_timeout: '1min',
  idle_session_timeout: '1min',
  transaction_timeout: '1min',
  plan_cache_mode: 'force_custom_plan',
  enable_bitmapscan: 'on',
  enable_sort: 'on',
  jit: 'on',
};

/** Sets a value for all new connections to the database of a test, and to its role on that database. */
async function setEverywhere(pool: pg.Pool, name: string, value: string): Promise<void> {
  await pool.query(
    `do $$ begin
       execute format('alter database %I set ${name} = %L', current_database(), '${value}');
       execute format('alter role %I in database %I set ${name} = %L', current_user, current_database(), '${value}');
     end $$`,
  );
}

/** Opens a pool as the service does. */
const open = (url: string) =>
  createPool({
    urls: [url],
    maxConnections: 1,
    connectTimeoutMs: 10_000,
    statementTimeoutMs: 10_000,
    onIdleError: () => undefined,
  });

async function serverVersion(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query(`select current_setting('server_version_num')::int as version`);
  return rows[0].version;
}

describe('each setting has the service’s value on a connection, whatever the database and the role say', () => {
  let database: TestDatabase;
  let admin: pg.Pool;
  beforeAll(async () => {
    database = await createDatabase();
    admin = openPool(database.url);
  });
  afterAll(async () => {
    await admin.end();
    await database.drop();
  });

  it.each(Object.entries(OTHER))('%s', async (name, value) => {
    if (name === 'transaction_timeout' && (await serverVersion(admin)) < 170_000) return;
    await setEverywhere(admin, name, value);
    const show = async (pool: pg.Pool) => {
      const { rows } = await pool.query(`select set_config($1, current_setting($1), false) as value`, [name]);
      await pool.end();
      return rows[0].value;
    };
    expect(await show(openPool(database.url))).toBe(value);
    const pool = open(database.url);
    expect(await show(pool)).toBe(PINNED[name as keyof typeof PINNED]);
    await admin.query(
      `do $$ begin
         execute format('alter database %I reset ${name}', current_database());
         execute format('alter role %I in database %I reset ${name}', current_user, current_database());
       end $$`,
    );
  });

  it('and options of the URL are kept beside them', async () => {
    const url = new URL(database.url);
    url.searchParams.set('options', '-c search_path=elsewhere -c enable_sort=on -c work_mem=5MB');
    const pool = open(url.href);
    const { rows } = await pool.query(
      `select current_setting('search_path') as search_path, current_setting('enable_sort') as enable_sort,
         current_setting('work_mem') as work_mem, current_setting('statement_timeout') as statement_timeout`,
    );
    await pool.end();
    expect(rows).toEqual([
      { search_path: 'elsewhere', enable_sort: 'off', work_mem: '5MB', statement_timeout: '10s' },
    ]);
  });
});

// transaction_timeout exists since version 17.
const { transaction_timeout, ...OF_ALL_VERSIONS } = OTHER;
const throughOtherRole = async (databaseUrl: string) => {
  const role = await createRoleWith(databaseUrl, OF_ALL_VERSIONS);
  return { url: role.url, pooler: 'none' as const, stop: role.drop };
};
for (const contract of [fileStoreContract, multipartContract]) {
  contract('the store as a role with other settings', (limits) =>
    openStore(limits, { through: throughOtherRole }),
  );
}

it('24 concurrent creates of the same content succeed where SERIALIZABLE is the default', async () => {
  const { store, close } = await openStore(STORE_LIMITS, { through: throughOtherRole });
  for (let round = 0; round < 4; round++) {
    const intent = {
      userId: 'ada',
      s3Key: `ada_${round}`,
      filename: `${round}`,
      mimeType: 'text/plain',
      fingerprint: fingerprintOf(parseMd5(md5(`${round}`))),
      size: 1,
    };
    const outcomes = await Promise.allSettled(Array.from({ length: 24 }, () => store.reserve(intent)));
    expect(outcomes.filter(({ status }) => status === 'rejected')).toEqual([]);
  }
  await close();
});

it('a lock_timeout of the role, which stays behind a pooler in transaction mode, is no internal error', async () => {
  const { store, pool, close } = await openStore(STORE_LIMITS, {
    arrange: (admin) => setEverywhere(admin, 'lock_timeout', '10ms'),
    through: async (url) => ({ url, pooler: 'transaction', stop: async () => undefined }),
  });
  const intent = {
    userId: 'ada',
    s3Key: 'ada_a',
    filename: 'a',
    mimeType: 'text/plain',
    fingerprint: fingerprintOf(parseMd5(md5('a'))),
    size: 1,
  };
  await store.reserve(intent);
  const client = await pool.connect();
  await client.query('begin');
  await client.query('select from files for update');
  await expect(store.markDeleted(intent)).rejects.toMatchObject({
    reason: 'DATABASE_UNAVAILABLE',
    cause: { code: '55P03' },
  });
  await client.query('rollback');
  client.release();
  await close();
});

it('reconcile reads exact sizes, and may take its time between two pages of rows', async () => {
  const database = await createDatabase();
  const admin = openPool(database.url);
  await migrate(admin);
  await admin.query(
    `insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, url_expire_at, size, etag,
       last_modified, verified_at)
     select 'ada', 'ada_' || lpad(i::text, 4, '0'), 'ready', 'a', 'text/plain', decode(md5(i::text), 'hex'), now(),
       5497558138880 - i, 'etag', now(), now()
     from generate_series(1, 1500) i`,
  );
  await setEverywhere(admin, 'extra_float_digits', '-15');
  await setEverywhere(admin, 'idle_in_transaction_session_timeout', '100ms');
  const pool = open(database.url);
  const sizes: number[] = [];
  for await (const { size } of createRowInventory(
    pool,
    databaseOn(pool, (_, run) => run()),
    { urlSeconds: 3_600 },
  ).scan()) {
    sizes.push(size);
    if (sizes.length === 1_000) await sleep(500);
  }
  expect(sizes).toEqual(Array.from({ length: 1_500 }, (_, i) => 5_497_558_138_880 - i - 1));
  await pool.end();
  await admin.end();
  await database.drop();
});
