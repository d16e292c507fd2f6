import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseFilename } from '../../src/files/rules/filename.ts';
import {
  parseOwnedKey,
  parseS3Key,
  randomSuffix,
  S3_KEY_MAX_BYTES,
  s3Key,
  userPart,
  userPartOf,
} from '../../src/files/rules/s3-key.ts';

const userId = fc.string({
  unit: fc.constantFrom(
    ...Array.from({ length: 94 }, (_, i) => String.fromCharCode(0x21 + i)).filter((c) => c !== ','),
  ),
  minLength: 1,
  maxLength: 255,
});
const filename = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }).filter((name) => {
  try {
    parseFilename(name);
    return true;
  } catch {
    return false;
  }
});
const beginningOf = (key: string) => key.slice(0, key.indexOf('_'));

describe('an S3 key', () => {
  it.each([
    ['651eb6e11d156e0d7a42c59d', 'document.pdf', '651eb6e11d156e0d7a42c59d_document.pdf'],
    ['a_b', 'c.txt', 'a.5Fb_c.txt'],
    ['a', 'b_c.txt', 'a_b_c.txt'],
    ['a.b', 'c.txt', 'a.2Eb_c.txt'],
    ['u', 'Übergrößenträger.pdf', 'u_Ubergro_entrager.pdf'],
    ['u', '日本.txt', 'u_file.txt'],
    ['u', '日本', 'u_file'],
    ['u', '.gitignore', 'u_.gitignore'],
    ['u', 'archive.tar.gz', 'u_archive.tar.gz'],
    ['u', 'no extension', 'u_no_extension'],
    ['u', 'trailing.', 'u_trailing'],
    ['u', 'x.日本', 'u_x'],
  ])('of %s and %s is %s', (user, name, key) => {
    expect(s3Key(user, name)).toBe(key);
  });

  it('contains its suffix before the extension', () => {
    expect(s3Key('u', 'document.pdf', 'abcd1234')).toBe('u_document-abcd1234.pdf');
    expect(s3Key('u', 'README', 'abcd1234')).toBe('u_README-abcd1234');
  });

  it('has only safe characters and at most 240 bytes for any user and name', () => {
    fc.assert(
      fc.property(userId, filename, fc.boolean(), (user, name, suffixed) => {
        const key = s3Key(user, name, suffixed ? randomSuffix() : '');
        expect(key).toMatch(/^[A-Za-z0-9.-]+_[A-Za-z0-9._-]+$/);
        expect(Buffer.byteLength(key)).toBeLessThanOrEqual(S3_KEY_MAX_BYTES);
        expect(parseS3Key(key)).toBe(key);
      }),
      { numRuns: 1_000 },
    );
  });

  it('has different user parts for different users', () => {
    fc.assert(
      fc.property(userId, userId, filename, filename, (a, b, nameA, nameB) => {
        const same = beginningOf(s3Key(a, nameA)) === beginningOf(s3Key(b, nameB));
        expect(same).toBe(a === b);
      }),
      { numRuns: 1_000 },
    );
  });

  it('contains its user, so two users never share a key', () => {
    fc.assert(
      fc.property(userId, filename, (user, name) => {
        const key = s3Key(user, name);
        const userId = userPart(user).startsWith('.sha256-') ? undefined : user;
        expect(parseOwnedKey(key)).toEqual({ userId, s3Key: key });
        expect(userPartOf(key)).toBe(userPart(user));
      }),
      { numRuns: 1_000 },
    );
  });

  it.each([
    ['u'.repeat(128), 'u'.repeat(128)],
    ['u'.repeat(129), `.sha256-${createHash('sha256').update('u'.repeat(129)).digest('hex')}`],
    ['@'.repeat(255), `.sha256-${createHash('sha256').update('@'.repeat(255)).digest('hex')}`],
    // The encoding of this id has the form of a hash, but for the first character.
    [`.sha256-${'0'.repeat(64)}`, `.2Esha256-${'0'.repeat(64)}`],
  ])('of the user %s begins with %s', (user, part) => {
    expect(s3Key(user, 'a.txt')).toBe(`${part}_a.txt`);
  });

  it.each([
    '',
    'no-user',
    '_x',
    'a b_x',
    'u_',
    'ü_x',
    '.61_x',
    '.5f_x',
    '.5_x',
    'folder/u_x',
    'u_a b',
    '.00_x',
    '.20_x',
    'a.2Cb_x',
    '.FF_x',
    `u_${'x'.repeat(239)}`,
    `.sha256-${'0'.repeat(63)}_x`,
    `.sha256-${'A'.repeat(64)}_x`,
    `.sha512-${'0'.repeat(64)}_x`,
    `${'u'.repeat(129)}_x`,
  ])('%j has no owner', (key) => {
    expect(parseOwnedKey(key)).toBeUndefined();
  });
});

describe('a key suffix', () => {
  it('has eight unambiguous characters and differs each time', () => {
    const suffixes = Array.from({ length: 1_000 }, randomSuffix);
    for (const suffix of suffixes) expect(suffix).toMatch(/^[0-9abcdefghjkmnpqrstvwxyz]{8}$/);
    expect(new Set(suffixes).size).toBe(1_000);
  });
});

describe('a key in a request', () => {
  it.each(['', 'x'.repeat(241), 'ü'.repeat(121), 'a\0b', 'a\ud800'])('%j is refused', (text) => {
    expect(() => parseS3Key(text)).toThrow(/s3_key must be 1 to 240 bytes/);
  });

  it('of 240 bytes is accepted, whatever its form', () => {
    expect(parseS3Key('x'.repeat(240))).toHaveLength(240);
  });
});
