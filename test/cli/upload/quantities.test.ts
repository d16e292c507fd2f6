import { expect, it } from 'vitest';
import {
  countText,
  durationText,
  filesText,
  shareText,
  sizeText,
} from '../../../src/cli/upload/output/quantities.ts';

it.each([
  [0, '0 B'],
  [1_023, '1023 B'],
  [1_024, '1.0 KiB'],
  [1_536, '1.5 KiB'],
  [1_024 ** 2, '1.0 MiB'],
  [1_024 ** 3, '1.0 GiB'],
  [1_024 ** 4, '1.0 TiB'],
  [5_000 * 1_024 ** 4, '5000.0 TiB'],
])('%d bytes are shown as %s', (bytes, text) => {
  expect(sizeText(bytes)).toBe(text);
});

it('a part is shown in the unit of the whole', () => {
  expect(shareText(512 * 1_024 ** 2, 4 * 1_024 ** 3)).toBe('0.5 of 4.0 GiB');
  expect(shareText(0, 100)).toBe('0 of 100 B');
});

it.each([
  [0.2, '1 s'],
  [59, '59 s'],
  [60, '1 min'],
  [89, '1 min'],
  [90, '2 min'],
  [3_569, '59 min'],
  [3_570, '1 h 0 min'],
  [7_380, '2 h 3 min'],
])('%d seconds are shown as %s', (seconds, text) => {
  expect(durationText(seconds)).toBe(text);
});

it('counts have separators, and one file is no plural', () => {
  expect(countText(1_234_567)).toBe('1,234,567');
  expect([0, 1, 2_000].map(filesText)).toEqual(['0 files', '1 file', '2,000 files']);
});
