import { describe, expect, it } from 'vitest';
import {
  FILENAME_MAX_BYTES,
  FILENAME_MAX_UNITS,
  parseFilename,
  parseFilenamePrefix,
} from '../../src/files/rules/filename.ts';

function* allCharacters(): Generator<string> {
  for (let codePoint = 0; codePoint <= 0x10ffff; codePoint++) {
    if (codePoint < 0xd800 || codePoint > 0xdfff) yield String.fromCodePoint(codePoint);
  }
}

describe('the bound of a filename in UTF-16 units', () => {
  it('refuses no spelling of a name that has at most 255 bytes in NFC', () => {
    const longest = { units: 0, bytes: 1, character: '' };
    for (const character of allCharacters()) {
      const bytes = Buffer.byteLength(character.normalize('NFC'));
      const units = Math.max(character.length, character.normalize('NFD').length);
      if (units / bytes > longest.units / longest.bytes) Object.assign(longest, { units, bytes, character });
    }
    expect(longest).toEqual({ units: 3, bytes: 2, character: '\u01d5' });
    expect(FILENAME_MAX_UNITS).toBe(Math.floor((FILENAME_MAX_BYTES * longest.units) / longest.bytes));
  });

  it('accepts the longest spelling of a name of 255 bytes', () => {
    const composed = `${'\u01d5'.repeat(127)}x`;
    expect(composed.normalize('NFD')).toHaveLength(FILENAME_MAX_UNITS);
    expect(parseFilename(composed.normalize('NFD'))).toBe(composed);
    expect(parseFilenamePrefix(composed.normalize('NFD'))).toBe(composed);
  });

  it('keeps normalisation below a millisecond', () => {
    const marks = '\u0345'.repeat(FILENAME_MAX_UNITS / 2) + '\u0334'.repeat(FILENAME_MAX_UNITS / 2);
    const times = Array.from({ length: 5 }, () => {
      const startMs = performance.now();
      expect(() => parseFilename(marks)).toThrow(/at most 255 bytes/);
      return performance.now() - startMs;
    });
    expect(Math.min(...times)).toBeLessThan(1);
  });
});
