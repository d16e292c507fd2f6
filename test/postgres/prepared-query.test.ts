import pg from 'pg';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { PreparedQuery, type Statement } from '../../src/postgres/connection/prepared-query.ts';
import { toWire } from '../../src/postgres/connection/types.ts';
import { createDatabase } from '../harness/database.ts';
import { forAllTests } from '../harness/for-all-tests.ts';

const server = forAllTests(createDatabase);

/** Errors of the connection that no statement reported. */
const stray: Error[] = [];
let client: pg.Client;
beforeEach(async () => {
  client = new pg.Client({ connectionString: server.url });
  client.on('error', (error) => stray.push(error));
  await client.connect();
});
afterEach(async () => {
  await client.end();
  expect(stray.splice(0)).toEqual([]);
});

const submit = (statement: Statement) =>
  new Promise<unknown[]>((resolve, reject) => {
    client.query(
      new PreparedQuery(statement, (error, rows) => (error === undefined ? resolve(rows) : reject(error))),
    );
  });

/** Counts the messages of each kind that Postgres sends while `run` runs. */
async function countMessages(run: () => Promise<unknown>): Promise<Record<string, number>> {
  const { connection } = client as unknown as { connection: NodeJS.EventEmitter };
  const counts: Record<string, number> = {};
  const count = ({ name }: { name: string }) => {
    counts[name] = (counts[name] ?? 0) + 1;
  };
  connection.on('message', count);
  await run();
  connection.off('message', count);
  return counts;
}

const numbers = (name: string | undefined, upTo: number): Statement => ({
  ...(name !== undefined && { name }),
  text: 'select n, n::text as text, null as nothing from generate_series(1, $1::int) n',
  values: [String(upTo)],
});
const rows = (upTo: number) =>
  Array.from({ length: upTo }, (_, i) => ({ n: i + 1, text: String(i + 1), nothing: null }));

it.each([0, 1, 3])('returns %d rows as objects with the columns’ names', async (count) => {
  for (const name of ['numbers', 'numbers', undefined]) {
    expect(await submit(numbers(name, count))).toEqual(rows(count));
  }
});

it('a named statement is parsed and described once per connection, an unnamed one at each call', async () => {
  const thrice = async (name: string | undefined) => {
    for (let i = 0; i < 3; i++) await submit(numbers(name, 1));
  };
  expect(await countMessages(() => thrice('numbers'))).toMatchObject({
    parseComplete: 1,
    rowDescription: 1,
    dataRow: 3,
  });
  expect(await countMessages(() => thrice(undefined))).toMatchObject({
    parseComplete: 3,
    rowDescription: 3,
    dataRow: 3,
  });
});

it('two connections may use one name for different statements and get their own columns', async () => {
  const one = { name: 'same', text: 'select 1 as one', values: [] };
  const two = { name: 'same', text: "select 'b' as two", values: [] };
  expect(await submit(one)).toEqual([{ one: 1 }]);
  const first = client;
  client = new pg.Client({ connectionString: server.url });
  await client.connect();
  expect(await submit(two)).toEqual([{ two: 'b' }]);
  expect(await submit({ ...one, name: 'other' })).toEqual([{ one: 1 }]);
  expect(await submit(two)).toEqual([{ two: 'b' }]);
  await first.end();
});

it('a statement without results returns no rows at each of three calls', async () => {
  const nothing = { name: 'nothing', text: 'select from generate_series(1, 0)', values: [] };
  const settings = { name: 'settings', text: 'set application_name = submission', values: [] };
  for (let i = 0; i < 3; i++) {
    expect(await submit(nothing)).toEqual([]);
    expect(await submit(settings)).toEqual([]);
  }
});

it.each([
  '2026-11-23T18:14:16.123Z',
  '+012345-09-13T00:00:00.000Z',
  '0099-12-31T23:59:59.999Z',
  '0000-01-01T00:00:00.000Z',
  '-000043-03-15T12:00:00.000Z',
])('parameters of all types arrive unchanged: %s', async (iso) => {
  const time = new Date(iso);
  const values = ['ä\'"\\', -1.5, time, Buffer.from([0, 255]), null].map(toWire);
  const text =
    'select $1::text as text, $2::double precision as number, $3::timestamptz as time, $4::bytea as bytes, $5::text as nothing';
  for (const zone of ['UTC', 'Asia/Kolkata']) {
    await client.query(`set timezone = '${zone}'`);
    expect(await submit({ text, values })).toEqual([
      { text: 'ä\'"\\', number: -1.5, time, bytes: Buffer.from([0, 255]), nothing: null },
    ]);
  }
});

it('fails with Postgres’s error at parse, bind or execution, and the connection stays usable', async () => {
  const unparsed = { name: 'unparsed', text: 'select from from', values: [] };
  const half = { name: 'half', text: 'select 10 / $1::int as share', values: ['0'] };
  // Postgres refuses this statement at bind, when the session has already parsed and kept the statement.
  const unbound = { name: 'echo', text: 'select $1::text as text', values: ['\0'] };
  for (let i = 0; i < 2; i++) {
    await expect(submit(unparsed)).rejects.toMatchObject({ code: '42601' });
    await expect(submit(half)).rejects.toMatchObject({ code: '22012' });
    await expect(submit(unbound)).rejects.toMatchObject({ code: '22021' });
  }
  expect(await submit({ ...half, values: ['5'] })).toEqual([{ share: 2 }]);
  expect(await submit({ ...unbound, values: ['a'] })).toEqual([{ text: 'a' }]);
});

it('an error after the first rows fails the statement, and the rows are dropped', async () => {
  const text = 'select 1 / (3 - n) as share from generate_series(1, 5) n';
  await expect(submit({ text, values: [] })).rejects.toMatchObject({ code: '22012' });
  expect(await submit(numbers('numbers', 1))).toEqual(rows(1));
});

it('a named statement fails after its columns have changed and never returns wrong names', async () => {
  await client.query('create temporary table t (a int)');
  await client.query('insert into t values (1)');
  const all = { name: 'all', text: 'select * from t', values: [] };
  expect(await submit(all)).toEqual([{ a: 1 }]);
  await client.query('alter table t add column b int');
  await expect(submit(all)).rejects.toMatchObject({ code: '0A000' });
});

it('a parser that throws fails only its own statement', async () => {
  pg.types.setTypeParser(pg.types.builtins.MONEY, () => {
    throw new SyntaxError('not read');
  });
  await expect(submit({ text: 'select 1::money as price', values: [] })).rejects.toThrow('not read');
  expect(await submit(numbers('numbers', 1))).toEqual(rows(1));
});

it('a broken connection fails the running statement and the waiting one', async () => {
  const sleeping = submit({ text: 'select pg_sleep(60)', values: [] });
  const waiting = submit(numbers('numbers', 1));
  const both = Promise.allSettled([sleeping, waiting]);
  const admin = new pg.Client({ connectionString: server.url });
  await admin.connect();
  const { processID } = client as unknown as { processID: number };
  await admin.query('select pg_terminate_backend($1)', [processID]);
  await admin.end();
  expect((await both).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  stray.splice(0);
  await expect(submit(numbers('numbers', 1))).rejects.toThrow('not queryable');
});
