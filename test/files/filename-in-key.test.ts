import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseFilename } from '../../src/files/rules/filename.ts';
import { filenameInKey } from '../../src/files/rules/filename-in-key.ts';
import { type S3Key, s3Key } from '../../src/files/rules/s3-key.ts';

describe('the filename in a key', () => {
  it.each([
    ['u', 'report.pdf', 'report.pdf'],
    ['a_b', 'a_b.txt', 'a_b.txt'],
    ['u', '日本.txt', 'file.txt'],
    ['u', `${'㎢'.repeat(70)}.txt`, `${'km2'.repeat(70)}.txt`],
  ])('of %s and %s is %s', (user, filename, expected) => {
    expect(filenameInKey(s3Key(user, filename))).toBe(expected);
  });

  it.each(['.', '..'])('is never %s', (name) => {
    expect(filenameInKey(`u_${name}` as S3Key)).toBe('file');
  });

  it('is a valid filename for every key', () => {
    const characters = fc.string({ unit: fc.constantFrom(...'aZ09._-'), minLength: 1, maxLength: 238 });
    fc.assert(
      fc.property(characters, (text) => {
        const name = filenameInKey(`u_${text}` as S3Key);
        expect(parseFilename(name)).toBe(name);
      }),
      { numRuns: 1_000 },
    );
  });
});
