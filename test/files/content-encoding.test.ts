import { expect, it } from 'vitest';
import { changesBytes } from '../../src/files/rules/content-encoding.ts';

it.each([
  '',
  ' ',
  ',',
  'identity',
  'IDENTITY',
  ' identity , identity',
  'aws-chunked',
  'aws-chunked,identity',
])('%j leaves the bytes as they are', (contentEncoding) => expect(changesBytes(contentEncoding)).toBe(false));

it.each([
  'gzip',
  'GZIP',
  'br',
  'x',
  'gzip,aws-chunked',
  'aws-chunked, gzip',
  'identity,gzip',
  'gzip;q=0',
  '"identity"',
])('%j makes clients deliver other bytes, or may', (contentEncoding) =>
  expect(changesBytes(contentEncoding)).toBe(true),
);
