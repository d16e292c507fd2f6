import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { sql } from 'kysely';
import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { migrate, migrateAt, migrateWhenReachable } from '../../src/postgres/migrate.ts';
import * as files from '../../src/postgres/migrations/0001-files.ts';
import * as typeChanged from '../../src/postgres/migrations/0002-type-changed.ts';
import type { Migration } from '../../src/postgres/migrator.ts';
import { createDatabase, execute, openPool, type TestDatabase } from '../harness/database.ts';

/** Its comment has statements for the operator of a large table. */
/** The migrations that name the statements with which an operator builds columns and indexes before them. */
const BUILT_BEFORE = ['0003-events', '0004-hashed-keys'];
const MIGRATIONS = join(import.meta.dirname, '../../src/postgres/migrations');

let database: TestDatabase;
let pool: pg.Pool;
beforeEach(async () => {
  database = await createDatabase();
  pool = openPool(database.url);
});
afterEach(async () => {
  await pool.end();
  await database.drop();
});

const indexes = async () => {
  const { rows } = await pool.query(
    `select indexdef from pg_indexes where tablename = 'files' order by indexname`,
  );
  return rows;
};

const indexOids = async () => {
  const { rows } = await pool.query(
    `select indexrelid, indisvalid from pg_index where indrelid = 'files'::regclass order by 1`,
  );
  return rows;
};

it('of eight instances that migrate at once, one migrates and the others wait and find nothing to do', async () => {
  const runs = await Promise.all(Array.from({ length: 8 }, () => migrateAt({ urls: [database.url] })));
  expect(runs.filter((done) => done.length > 0)).toEqual([
    ['0001-files', '0002-type-changed', '0003-events', '0004-hashed-keys'],
  ]);
  const before = await indexes();
  expect(before.length).toBeGreaterThan(0);
  expect(await migrateAt({ urls: [database.url] })).toEqual([]);
  expect(await indexes()).toEqual(before);
});

it.each([
  { stops: true, waits: 0 },
  { stops: false, waits: 1 },
])(
  'a connection that breaks is a wait unless the service stops (stops: $stops)',
  async ({ stops, waits }) => {
    const stopping = new AbortController();
    const server = createServer((socket) => {
      if (stops) stopping.abort();
      socket.destroy();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `postgres://postgres@127.0.0.1:${(server.address() as AddressInfo).port}/files`;
    const errors: unknown[] = [];
    const onWait = (error: unknown) => {
      errors.push(error);
      stopping.abort();
    };
    await migrateWhenReachable({ urls: [url] }, onWait, stopping.signal);
    expect(errors).toHaveLength(waits);
    server.close();
  },
);

const addColumn = (name: string, serves: string): Migration => ({
  serves,
  up: async (db) => void (await sql`alter table files add column ${sql.ref(name)} text`.execute(db)),
});

describe('after a newer release has migrated', () => {
  const current = { '0001-files': files };
  const next = { ...current, '0002-next': addColumn('b', '0001-files') };
  const afterNext = { ...next, '0003-after-next': addColumn('c', '0002-next') };

  it('an older release that the schema serves has nothing to do', async () => {
    expect(await migrate(pool, current)).toEqual(['0001-files']);
    expect(await migrate(pool, next)).toEqual(['0002-next']);
    expect(await migrate(pool, current)).toEqual([]);
    expect(await migrate(pool, afterNext)).toEqual(['0003-after-next']);
    expect(await migrate(pool, next)).toEqual([]);
  });

  it('a release that is too old fails and says which releases the schema serves', async () => {
    await migrate(pool, afterNext);
    await expect(migrate(pool, current)).rejects.toThrow(
      'the schema has been migrated to 0003-after-next, which serves releases from 0002-next on, ' +
        'but this release ends with 0001-files. Start a newer release',
    );
  });

  it('the migrations of a database that Kysely’s migrator made are known', async () => {
    await migrate(pool, current);
    await pool.query('alter table kysely_migration drop column serves');
    expect(await migrate(pool, current)).toEqual([]);
    expect(await migrate(pool, next)).toEqual(['0002-next']);
    expect(await migrate(pool, current)).toEqual([]);
  });

  it('a migration that fails changes nothing and shows Postgres’s own error', async () => {
    await migrate(pool, current);
    const broken = { ...next, '0003-broken': addColumn('b', '0002-next') };
    await expect(migrate(pool, broken)).rejects.toThrow('column "b" of relation "files" already exists');
    expect(await migrate(pool, next)).toEqual(['0002-next']);
  });
});

it('a database with an encoding that cannot hold all filenames is refused', async () => {
  const name = `${new URL(database.url).pathname.slice(1)}_latin1`;
  await execute(database.url, `create database ${name} encoding 'LATIN1' locale 'C' template template0`);
  const url = new URL(database.url);
  url.pathname = `/${name}`;
  await expect(migrateAt({ urls: [url.href] })).rejects.toThrow(
    "the database has the encoding LATIN1, which cannot hold all filenames. Create it with ENCODING 'UTF8'",
  );
  await execute(database.url, `drop database ${name}`);
});

it('columns and indexes that an operator has built before are found, and the indexes are the same', async () => {
  await migrateAt({ urls: [database.url] });
  const migrated = await indexes();
  await pool.query('drop table files, kysely_migration');
  await migrate(pool, { '0001-files': files, '0002-type-changed': typeChanged });
  const statements: string[] = [];
  for (const migration of BUILT_BEFORE) {
    const source = await readFile(join(MIGRATIONS, `${migration}.ts`), 'utf8');
    const [, comment = ''] = source.match(/\* {5}((?:alter|create)[\s\S]*?);?\n \*\//) ?? [];
    statements.push(...comment.replaceAll(/\n \* */g, ' ').split(';'));
  }
  expect(statements).toHaveLength(4);
  for (const statement of statements) await pool.query(statement);
  const before = await indexOids();
  expect(await migrateAt({ urls: [database.url] })).toEqual(BUILT_BEFORE);
  expect(await indexOids()).toEqual(before);
  expect(await indexes()).toEqual(migrated);
});

describe('the rights that README.md names', () => {
  const PASSWORD = 'secret';
  let role: string;
  let url: string;
  beforeEach(async () => {
    role = `role_of_${new URL(database.url).pathname.slice(1)}`;
    await pool.query(`create role ${role} login password '${PASSWORD}'`);
    // From version 15 on, Postgres gives other roles no right to create tables in `public`.
    await pool.query('revoke create on schema public from public');
    const changed = new URL(database.url);
    changed.username = role;
    changed.password = PASSWORD;
    url = changed.href;
  });
  afterEach(async () => {
    await pool.query(`drop owned by ${role} cascade`);
    await pool.query(`drop role ${role}`);
  });

  it('without them, migrate fails with Postgres’s own words', async () => {
    await expect(migrateAt({ urls: [url] })).rejects.toThrow('permission denied for schema public');
  });

  it('a role that may create in a schema migrates it', async () => {
    await pool.query(`grant create on schema public to ${role}`);
    expect(await migrateAt({ urls: [url] })).toEqual([
      '0001-files',
      '0002-type-changed',
      '0003-events',
      '0004-hashed-keys',
    ]);
  });

  it('the schema of search_path is used, beside the tables of another service in public', async () => {
    await migrate(pool);
    await pool.query(`create schema ${role} authorization ${role}`);
    await pool.query(`alter role ${role} set search_path = ${role}`);
    expect(await migrateAt({ urls: [url] })).toEqual([
      '0001-files',
      '0002-type-changed',
      '0003-events',
      '0004-hashed-keys',
    ]);
    const { rows } = await pool.query(
      `select schemaname from pg_tables where tablename = 'files' order by 1`,
    );
    expect(rows.map(({ schemaname }) => schemaname)).toEqual(['public', role]);
  });

  it('a role that may only read and write rows finds an up-to-date schema up to date', async () => {
    await migrate(pool);
    await expect(migrateAt({ urls: [url] })).rejects.toThrow('permission denied for table kysely_migration');
    await pool.query(`grant select, insert, update, delete on files to ${role}`);
    await pool.query(`grant select on kysely_migration to ${role}`);
    expect(await migrateAt({ urls: [url] })).toEqual([]);
  });
});
