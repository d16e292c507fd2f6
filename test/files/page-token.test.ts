import fc from 'fast-check';
import { expect, it } from 'vitest';
import { pageToken, parsePageToken } from '../../src/files/page-token.ts';

const scope = fc.record({ userId: fc.string({ minLength: 1 }), filenamePrefix: fc.string() });
const position = fc.record({
  lastModified: fc.date({ min: new Date(0), max: new Date('9999-12-31'), noInvalidDate: true }),
  s3Key: fc.string({ unit: 'binary', minLength: 1, maxLength: 512 }),
});

it('gives back its position', () => {
  fc.assert(
    fc.property(position, scope, (where, whose) => {
      expect(parsePageToken(pageToken(where, whose), whose)).toEqual(where);
    }),
  );
});

it('goes with one user and one prefix', () => {
  fc.assert(
    fc.property(position, scope, scope, (where, whose, other) => {
      fc.pre(JSON.stringify(whose) !== JSON.stringify(other));
      expect(() => parsePageToken(pageToken(where, whose), other)).toThrow(/page_token must be/);
    }),
  );
});

it('keeps user and prefix apart', () => {
  const where = { lastModified: new Date(0), s3Key: 'k' };
  const token = pageToken(where, { userId: 'a', filenamePrefix: 'bc' });
  expect(() => parsePageToken(token, { userId: 'ab', filenamePrefix: 'c' })).toThrow();
});

it('refuses any text that it did not make', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), scope, (text, whose) => {
      expect(() => parsePageToken(text, whose)).toThrow(/page_token must be/);
    }),
    { numRuns: 1_000 },
  );
});
