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
])('Content-Encoding %j does not change the bytes', (contentEncoding) =>
  expect(changesBytes(contentEncoding)).toBe(false),
);

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
])('Content-Encoding %j may make clients deliver other bytes', (contentEncoding) =>
  expect(changesBytes(contentEncoding)).toBe(true),
);
