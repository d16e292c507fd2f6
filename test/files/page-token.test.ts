import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FileError } from '../../src/files/file-error.ts';
import { pageToken, parsePageToken } from '../../src/files/rules/page-token.ts';
import { parseOwnedKey, parseS3Key, S3_KEY_MAX_BYTES, s3Key } from '../../src/files/rules/s3-key.ts';
import { forgedContent, forgedPageToken } from '../harness/forged-page-token.ts';

const LAST = new Date('9999-12-31T23:59:59.999Z');

// Visible ASCII without a comma, as src/files/rules/user-id.ts accepts user ids.
const userId = fc.string({
  unit: fc
    .integer({ min: 0x21, max: 0x7e })
    .filter((code) => code !== 0x2c)
    .map((code) => String.fromCharCode(code)),
  minLength: 1,
  maxLength: 255,
});
const scope = fc.record({ userId, filenamePrefix: fc.string() });
const lastModified = fc.date({ min: new Date(0), max: LAST, noInvalidDate: true });
const filename = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 255 });
const position = fc.record({
  lastModified,
  s3Key: fc.tuple(userId, filename).map(([user, name]) => s3Key(user, name)),
});

it('a page token decodes to its position', () => {
  fc.assert(
    fc.property(lastModified, filename, scope, (time, name, whose) => {
      const where = { lastModified: time, s3Key: s3Key(whose.userId, name) };
      expect(parsePageToken(pageToken(where, whose), whose)).toEqual(where);
    }),
  );
});

it('a page token is valid only for its user and prefix', () => {
  fc.assert(
    fc.property(position, scope, scope, (where, whose, other) => {
      fc.pre(JSON.stringify(whose) !== JSON.stringify(other));
      expect(() => parsePageToken(pageToken(where, whose), other)).toThrow(/page_token must be/);
    }),
  );
});

it('a page token separates user and prefix', () => {
  const where = { lastModified: new Date(0), s3Key: parseS3Key('ab_k') };
  const token = pageToken(where, { userId: 'a', filenamePrefix: 'bc' });
  expect(() => parsePageToken(token, { userId: 'ab', filenamePrefix: 'c' })).toThrow();
});

it('a text that is not a page token is refused', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), scope, (text, whose) => {
      expect(() => parsePageToken(text, whose)).toThrow(/page_token must be/);
    }),
    { numRuns: 1_000 },
  );
});

it('a page token can hold the longest key', () => {
  const whose = { userId: '@'.repeat(255), filenamePrefix: '' };
  const key = s3Key(whose.userId, 'x'.repeat(1_000));
  expect(key).toHaveLength(S3_KEY_MAX_BYTES);
  const where = { lastModified: LAST, s3Key: key };
  expect(parsePageToken(pageToken(where, whose), whose)).toEqual(where);
});

describe('a forged page token with a valid checksum', () => {
  const whose = { userId: 'ada', filenamePrefix: '' };

  it('decodes to a time that Date can hold and a key of its user, or is refused', () => {
    fc.assert(
      fc.property(forgedContent(whose.userId), (content) => {
        let parsed: ReturnType<typeof parsePageToken>;
        try {
          parsed = parsePageToken(forgedPageToken(content, whose.userId), whose);
        } catch (error) {
          expect(error).toBeInstanceOf(FileError);
          expect(error).toMatchObject({
            reason: 'INVALID_PAGE_TOKEN',
            violations: [{ field: 'page_token' }],
          });
          return;
        }
        expect(parsed.lastModified.getTime()).toBe(Number(content.time));
        expect(parsed.lastModified.getTime()).toBeGreaterThanOrEqual(0);
        expect(parsed.lastModified.getTime()).toBeLessThanOrEqual(LAST.getTime());
        expect(Buffer.from(parsed.s3Key)).toEqual(Buffer.from(content.key));
        expect(parseOwnedKey(parsed.s3Key)?.userId).toBe(whose.userId);
        expect(parsed.s3Key.length).toBeLessThanOrEqual(S3_KEY_MAX_BYTES);
      }),
      { numRuns: 5_000 },
    );
  });

  it.each<[string, { time?: bigint; key?: string | Uint8Array }]>([
    ['a time before 1970', { time: -1n }],
    ['a time after the year 9999', { time: BigInt(LAST.getTime()) + 1n }],
    ['a time that Date cannot hold', { time: 2n ** 63n - 1n }],
    ['a key with NUL', { key: 'ada_a\0b' }],
    ['a key that is not UTF-8', { key: Buffer.from([...Buffer.from('ada_a'), 0xff]) }],
    ['a key above the limit', { key: `ada_${'x'.repeat(S3_KEY_MAX_BYTES)}` }],
    ['a key of another user', { key: 'bob_a.txt' }],
    ['a key without a user', { key: 'a.txt' }],
  ])('is refused with %s', (_, { time = 0n, key = 'ada_a.txt' }) => {
    const token = forgedPageToken({ time, key: Buffer.from(key) }, whose.userId);
    expect(() => parsePageToken(token, whose)).toThrow(/page_token must be/);
  });

  it('is accepted if its content could come from the service', () => {
    const token = forgedPageToken({ time: 7n, key: Buffer.from('ada_a.txt') }, whose.userId);
    expect(parsePageToken(token, whose)).toEqual({ lastModified: new Date(7), s3Key: 'ada_a.txt' });
  });
});
