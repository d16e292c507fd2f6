import { describe, expect, it } from 'vitest';
import { examine } from '../../src/doctor/examine.ts';
import type { DatabaseRow, ProbedDatabase } from '../../src/doctor/postgres/probed-database.ts';
import { DATABASE_ROWS } from '../../src/doctor/postgres/rows.ts';
import { createDatabase, execute, openPool } from '../harness/database.ts';

/** The answers of a healthy database, by a part of the statement's text. */
const HEALTHY: Record<string, DatabaseRow[]> = {
  server_version: [{ value: '18.4' }],
  server_encoding: [{ value: 'UTF8' }],
  pg_is_in_recovery: [{ standby: false, read_only: 'off' }],
  full_page_writes: [{ name: 'fsync', setting: 'on' }],
  zero_damaged_pages: [],
  data_checksums: [{ value: 'on' }],
  synchronous_standby_names: [{ value: 'ANY 1 (a, b)' }],
  max_connections: [{ value: '100' }],
  'client backend': [{ value: '4' }],
  to_regclass: [{ files: 'files', log: 'kysely_migration' }],
  'from kysely_migration': [{ name: '0001-files' }],
  has_table_privilege: [{ select: true, insert: true, update: true, delete: true }],
  has_schema_privilege: [{ value: 'true' }],
  "'TimeZone'": [{ name: 'TimeZone', setting: 'UTC' }],
  statement_timeout: [{ value: '2500ms' }],
  "('jit')": [{ value: 'off' }],
  '(1)': [{ value: '1' }],
};

function database(
  changed: Record<string, DatabaseRow[] | Error> = {},
  hasPooler = false,
  deliversEvents = false,
): ProbedDatabase {
  const answers = Object.entries({ ...HEALTHY, ...changed });
  return {
    async query(text) {
      const [, answer] = answers.find(([piece]) => text.includes(piece)) ?? [];
      if (answer === undefined) throw new Error(`no answer for ${text}`);
      if (answer instanceof Error) throw answer;
      return answer;
    },
    hasPooler: async () => hasPooler,
    settings: { pooler: 'none', deliversEvents, connections: 11, session: { TimeZone: 'UTC' } },
  };
}

const answersOf = async (subject: ProbedDatabase) =>
  (await examine(DATABASE_ROWS, subject)).map(({ title, answer, seen }) => ({ title, answer, seen }));

describe('each row about the database', () => {
  it('says yes about a healthy one', async () => {
    const answers = await answersOf(database());
    expect(answers.filter(({ answer }) => answer !== 'yes')).toEqual([]);
  });

  it.each<[string, string, Record<string, DatabaseRow[]>]>([
    ['Postgres has version 14 or later', '13.9', { server_version: [{ value: '13.9' }] }],
    ['the database has the encoding UTF8', 'LATIN1', { server_encoding: [{ value: 'LATIN1' }] }],
    ['the server takes writes', 'a standby', { pg_is_in_recovery: [{ standby: true, read_only: 'on' }] }],
    ['the server takes writes', 'read-only', { pg_is_in_recovery: [{ standby: false, read_only: 'on' }] }],
    [
      'a committed row survives a crash of Postgres',
      'fsync = off',
      { full_page_writes: [{ name: 'fsync', setting: 'off' }] },
    ],
    [
      'a committed row survives a crash of Postgres',
      'full_page_writes = off, synchronous_commit = off',
      {
        full_page_writes: [
          { name: 'full_page_writes', setting: 'off' },
          { name: 'synchronous_commit', setting: 'off' },
        ],
      },
    ],
    [
      'a committed row survives a crash of Postgres',
      'synchronous_commit = off',
      {
        full_page_writes: [
          { name: 'fsync', setting: 'off', has_storage_servers: true },
          { name: 'synchronous_commit', setting: 'off', has_storage_servers: true },
        ],
      },
    ],
    [
      'Postgres reads no damaged page',
      'zero_damaged_pages = on, ignore_checksum_failure = on',
      { zero_damaged_pages: [{ name: 'zero_damaged_pages' }, { name: 'ignore_checksum_failure' }] },
    ],
    [
      'Postgres notices a page that its disk has changed',
      'data_checksums = off',
      { data_checksums: [{ value: 'off' }] },
    ],
    [
      'a committed row survives the loss of the primary',
      'no synchronous standby',
      { synchronous_standby_names: [{ value: '' }] },
    ],
    [
      'Postgres has connections for another instance of the service',
      '90 of 100 are open',
      { 'client backend': [{ value: '90' }] },
    ],
    ['the schema is there', 'no migration has run', { 'from kysely_migration': [] }],
    [
      'the role may read and write the table',
      'missing: insert, delete',
      { has_table_privilege: [{ select: true, insert: false, update: true, delete: false }] },
    ],
    [
      'the role may bring the schema up to date',
      'no CREATE on the schema',
      { has_schema_privilege: [{ value: 'false' }] },
    ],
    [
      'connections have the settings that the service needs',
      'TimeZone = Europe/Berlin',
      { "'TimeZone'": [{ name: 'TimeZone', setting: 'Europe/Berlin' }] },
    ],
    [
      'Postgres ends statements that take too long',
      'no statement_timeout',
      { statement_timeout: [{ value: '0' }] },
    ],
    ['JIT is off for the service', 'on', { "('jit')": [{ value: 'on' }] }],
  ])('%s: no, if Postgres answers "%s"', async (title, seen, changed) => {
    const answers = await answersOf(database(changed));
    expect(answers.filter(({ answer }) => answer !== 'yes')).toEqual([{ title, answer: 'no', seen }]);
  });

  it('says yes about fsync = off on Amazon Aurora and Neon, whose storage servers write the log', async () => {
    const answers = await answersOf(
      database({ full_page_writes: [{ name: 'fsync', setting: 'off', has_storage_servers: true }] }),
    );
    expect(answers.filter(({ answer }) => answer !== 'yes')).toEqual([]);
  });

  it('says no about a pooler that DATABASE_POOLER does not name', async () => {
    const answers = await answersOf(database({}, true));
    expect(answers.filter(({ answer }) => answer !== 'yes')).toEqual([
      {
        title: 'DATABASE_POOLER says whether a pooler is in between',
        answer: 'no',
        seen: 'a pooler, and it is none',
      },
    ]);
  });

  it('says no about a table without the columns for events only if EVENTS_URL needs them', async () => {
    const schemaRow = async (name: string, deliversEvents: boolean) => {
      const subject = database({ 'from kysely_migration': [{ name }] }, false, deliversEvents);
      return (await answersOf(subject)).find(({ title }) => title === 'the schema is there');
    };
    expect(await schemaRow('0002-type-changed', true)).toMatchObject({
      answer: 'no',
      seen: 'migrated to 0002-type-changed, and EVENTS_URL needs 0003-events',
    });
    expect(await schemaRow('0002-type-changed', false)).toMatchObject({ answer: 'yes' });
    expect(await schemaRow('0003-events', true)).toMatchObject({ answer: 'yes' });
    expect(await schemaRow('0004-later', true)).toMatchObject({ answer: 'yes' });
  });

  it('says no about a slow network', async () => {
    const healthy = database();
    const slow: ProbedDatabase = {
      ...healthy,
      async query(text) {
        await new Promise((resolve) => setTimeout(resolve, 12));
        return healthy.query(text);
      },
    };
    const answers = await answersOf(slow);
    expect(answers.filter(({ answer }) => answer !== 'yes')).toEqual([
      {
        title: 'a statement takes less than 10 ms',
        answer: 'no',
        seen: expect.stringMatching(/^\d\d\.\d ms$/),
      },
    ]);
  });

  it('cannot tell if Postgres answers with an error', async () => {
    const answers = await answersOf(
      database({ to_regclass: Object.assign(new Error(''), { code: 'ECONNRESET' }) }),
    );
    expect(answers.filter(({ answer }) => answer !== 'yes')).toEqual([
      { title: 'the schema is there', answer: 'cannot tell', seen: 'ECONNRESET' },
      { title: 'the role may read and write the table', answer: 'cannot tell', seen: 'ECONNRESET' },
    ]);
  });
});

it('the statements run on a real Postgres without a schema', async () => {
  const server = await createDatabase();
  const pool = openPool(server.url);
  const subject: ProbedDatabase = {
    query: async (text) => (await pool.query(text)).rows,
    hasPooler: async () => false,
    settings: { pooler: 'none', deliversEvents: false, connections: 1, session: { TimeZone: 'UTC' } },
  };
  const answers = await answersOf(subject);
  await pool.end();
  await server.drop();
  expect(answers.filter(({ answer }) => answer === 'cannot tell')).toEqual([
    {
      title: 'the role may read and write the table',
      answer: 'cannot tell',
      seen: 'there is no table files',
    },
  ]);
  expect(answers).toContainEqual({
    title: 'the schema is there',
    answer: 'no',
    seen: 'there is no table files',
  });
});

it('finds the storage servers of Amazon Aurora by its function', async () => {
  const server = await createDatabase();
  await execute(server.url, "create function aurora_version() returns text return '17.5'");
  const { pathname } = new URL(server.url);
  await execute(server.url, `alter database ${pathname.slice(1)} set synchronous_commit = on`);
  const pool = openPool(server.url);
  const query: ProbedDatabase['query'] = async (text) => (await pool.query(text)).rows;
  const answers = await answersOf({ ...database(), query });
  await pool.end();
  await server.drop();
  expect(answers).toContainEqual({
    title: 'a committed row survives a crash of Postgres',
    answer: 'yes',
    seen: 'written to disk at each commit',
  });
});
