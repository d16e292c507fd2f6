import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  FILENAME_MAX_CHARACTERS,
  FILENAME_MAX_UNITS,
  parseFilename,
  parseFilenamePrefix,
} from '../../src/files/rules/filename.ts';

/** The shortest time of 20 runs. A busy machine delays some of them. */
function shortestMs(run: () => unknown): number {
  const times = Array.from({ length: 20 }, () => {
    const startMs = performance.now();
    run();
    return performance.now() - startMs;
  });
  return Math.min(...times);
}

function* allCharacters(): Generator<string> {
  for (let codePoint = 0; codePoint <= 0x10ffff; codePoint++) {
    if (codePoint < 0xd800 || codePoint > 0xdfff) yield String.fromCodePoint(codePoint);
  }
}

describe('the bound of a filename in UTF-16 units', () => {
  it('refuses no spelling of a name that has at most 255 characters in NFC', () => {
    const longest = { units: 0, characters: 1, character: '' };
    for (const character of allCharacters()) {
      const characters = [...character.normalize('NFC')].length;
      const units = Math.max(character.length, character.normalize('NFD').length);
      if (units / characters > longest.units / longest.characters)
        Object.assign(longest, { units, characters, character });
    }
    expect(longest).toEqual({ units: 6, characters: 1, character: '\u{16126}' });
    expect(FILENAME_MAX_UNITS).toBe(FILENAME_MAX_CHARACTERS * longest.units);
  });

  it('accepts the longest spelling of a name of 255 characters, and refuses one more', () => {
    const composed = '\u{16126}'.repeat(FILENAME_MAX_CHARACTERS);
    expect(() => parseFilename(`${composed}x`)).toThrow(/at most 255 characters/);
    expect(() => parseFilenamePrefix(`${composed}x`)).toThrow(/at most 255 characters/);
    expect(composed.normalize('NFD')).toHaveLength(FILENAME_MAX_UNITS);
    expect(parseFilename(composed.normalize('NFD'))).toBe(composed);
    expect(parseFilenamePrefix(composed.normalize('NFD'))).toBe(composed);
  });

  it('keeps normalisation cheaper than the MD5 of 2 MiB', () => {
    // 0.8 ms and 2.3 ms. With twice as many units, normalisation takes 3 ms.
    const marks = '\u0345'.repeat(FILENAME_MAX_UNITS / 2) + '\u0334'.repeat(FILENAME_MAX_UNITS / 2);
    const parseMs = shortestMs(() => expect(() => parseFilename(marks)).toThrow(/at most 255 characters/));
    const bytes = Buffer.alloc(2 * 1024 ** 2);
    expect(parseMs).toBeLessThan(shortestMs(() => createHash('md5').update(bytes).digest()));
  });
});
