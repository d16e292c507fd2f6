import pg from 'pg';
import { expect, it } from 'vitest';
import { parserOf } from '../../src/postgres/connection/types.ts';

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
