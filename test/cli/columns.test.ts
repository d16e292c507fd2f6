import fc from 'fast-check';
import { expect, it } from 'vitest';
import { fitColumns, terminalColumns } from '../../src/text/columns.ts';

it.each([
  ['plain.txt', 9],
  ['日本語', 6],
  ['２０２４／a', 11],
  ['한국어', 6],
  ['한국어'.normalize('NFD'), 6],
  ['Gru\u0308ße', 5],
  ['👍', 2],
  ['❤\ufe0f', 2],
  ['…█░', 3],
  ['שלום', 4],
])('%s takes %i columns', (text, columns) => {
  expect(terminalColumns(text)).toBe(columns);
});

it('a shortened text fits, and ends between characters as people see them', () => {
  const text = fc.string({ unit: fc.constantFrom('a', '日', '👍🏽', 'e\u0301', '❤\ufe0f', '🇨🇭', '／') });
  fc.assert(
    fc.property(text, fc.integer({ min: 0, max: 12 }), (whole, columns) => {
      const short = fitColumns(whole, columns);
      expect(terminalColumns(short)).toBeLessThanOrEqual(columns);
      if (terminalColumns(whole) <= columns) {
        expect(short).toBe(whole);
        return;
      }
      const kept = short.replace(/…$/, '');
      const segments = [...new Intl.Segmenter().segment(whole)].map(({ index }) => index);
      expect(whole.startsWith(kept)).toBe(true);
      expect(segments).toContain(kept.length);
    }),
    { numRuns: 1_000 },
  );
});

it('a text is not cut more than it must be', () => {
  expect(fitColumns('日本語日本語', 7)).toBe('日本語…');
  expect(fitColumns('abcdef', 6)).toBe('abcdef');
  expect(fitColumns('abcdefg', 6)).toBe('abcde…');
});
