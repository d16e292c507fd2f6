import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { parserOf, toWire } from '../../src/postgres/connection/types.ts';
import { createDatabase, openPool } from '../harness/database.ts';
import { forAllTests } from '../harness/for-all-tests.ts';

const { TIMESTAMPTZ, INT4 } = pg.types.builtins;
const parse = parserOf(TIMESTAMPTZ);

it.each([
  '2026-11-23 18:14:16+00',
  '2026-11-23 18:14:16.1+00',
  '2026-11-23 18:14:16.123456+00',
  '2026-11-23 18:14:16.999999+00',
  '1969-12-31 23:59:59.5+00',
  '0001-01-01 00:00:00+00',
  // Servers in other zones write these: behind a pooler, the service cannot set the zone.
  '2026-11-23 18:14:16.25+05:30',
  '2026-11-23 18:14:16-08',
  '10000-01-01 00:00:00+00',
  '0044-03-15 12:00:00+00 BC',
  'infinity',
])('parses a timestamp as pg does: %s', (text) => {
  const expected: unknown = pg.types.getTypeParser(TIMESTAMPTZ)(text);
  expect(parse(text)).toEqual(expected);
  expect(String(expected)).not.toBe('Invalid Date');
});

it('uses pg’s parser for other types', () => {
  expect(parserOf(INT4)).toBe(pg.types.getTypeParser(INT4, 'text'));
});

describe('an array arrives in Postgres unchanged:', () => {
  const server = forAllTests(createDatabase);
  const texts = [
    'plain',
    '',
    'NULL',
    'null',
    ' ',
    '{a,b}',
    'it\'s "quoted" \\ % _ $1',
    'naïve 文件 😀',
    '\n\t',
    null,
  ];
  it.each<[string, Parameters<typeof toWire>[0]]>([
    ['text', []],
    ['text', texts],
    ['int8', [1, -2, null, 9_007_199_254_740_991].map((number) => number && String(number))],
    ['bytea', [Buffer.from([0, 255, 92, 34]), Buffer.alloc(0), null]],
  ])('%s[] %j', async (type, array) => {
    const pool = openPool(server.url);
    const { rows } = await pool.query(`select $1::text::${type}[] as array`, [toWire(array)]);
    await pool.end();
    expect(rows[0].array).toEqual(array);
  });
});
