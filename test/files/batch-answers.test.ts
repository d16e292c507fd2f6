import { create, toBinary, toJsonString } from '@bufbuild/protobuf';
import { expect, it } from 'vitest';
import { BatchCreatePresignedUploadsResponseSchema } from '../../gen/files/v1/file_service_pb.ts';
import { FileError } from '../../src/files/file-error.ts';
import type { UploadResult } from '../../src/files/operations/batch-create-presigned-uploads.ts';
import { limitAnswers } from '../../src/files/rules/batch-answers.ts';
import { parseMd5 } from '../../src/files/rules/md5.ts';
import { s3Key } from '../../src/files/rules/s3-key.ts';
import { uploadResultToProto } from '../../src/rpc/to-proto.ts';
import { md5 } from '../harness/random.ts';

/** The limit of gRPC's clients. */
const LIMIT_BYTES = 4 * 1024 ** 2;

const MD5 = parseMd5(md5('x'));
const KEY = s3Key('u'.repeat(250), 'n'.repeat(255));

function newUpload(urlBytes: number, mimeType = 'text/plain'): UploadResult {
  const upload = {
    url: 'u'.repeat(urlBytes),
    requiredHeaders: { 'Content-Type': mimeType, 'Content-MD5': MD5, 'Content-Length': '5368709120' },
    expireTime: new Date(),
  };
  return { status: 'fulfilled', value: { type: 'new', s3Key: KEY, md5: MD5, upload } };
}

const wrong = (): UploadResult => {
  const fields = ['filename', 'mime_type', 'md5', 'size'];
  const message =
    'must be at most 255 characters, in a sentence of a hundred and fifty characters, as rules are. '.repeat(
      2,
    );
  const violations = fields.map((field) => ({
    field: `requests[999].${field}`,
    message,
    reason: 'INVALID_MD5' as const,
  }));
  return { status: 'rejected', reason: new FileError('INVALID_MD5', message, { violations }) };
};

function bytesOf(results: readonly UploadResult[]): number {
  const response = create(BatchCreatePresignedUploadsResponseSchema, {
    results: results.map(uploadResultToProto),
  });
  // Details in JSON need a registry, and are no longer than in binary and base64.
  const hasErrors = results.some(({ status }) => status === 'rejected');
  const json = hasErrors ? 0 : toJsonString(BatchCreatePresignedUploadsResponseSchema, response).length;
  return Math.max(json, toBinary(BatchCreatePresignedUploadsResponseSchema, response).length);
}

const isAnswered = ({ status }: UploadResult) => status === 'fulfilled';

it('1,000 URLs without a session token, and with one of 2 kB, fit', () => {
  for (const urlBytes of [800, 800 + 2_000]) {
    const results = Array.from({ length: 1_000 }, () => newUpload(urlBytes));
    expect(limitAnswers(results)).toEqual(results);
    expect(bytesOf(results)).toBeLessThan(LIMIT_BYTES);
  }
});

it.each([
  ['URLs of the longest request line', () => newUpload(8_000)],
  ['types that JSON must escape', () => newUpload(3_500, `a/b;c="${'\\"'.repeat(120)}"`)],
])('of 1,000 answers with %s, those that do not fit are refused', (_, make) => {
  const limited = limitAnswers(Array.from({ length: 1_000 }, make));
  const answered = limited.filter(isAnswered).length;
  expect(answered).toBeGreaterThan(300);
  expect(answered).toBeLessThan(1_000);
  expect(limited.at(-1)).toMatchObject({
    reason: { reason: 'OVERLOADED', message: expect.stringContaining('no room'), retryAfterMs: 1_000 },
  });
  expect(bytesOf(limited)).toBeLessThan(LIMIT_BYTES);
  expect(bytesOf(limited.filter(isAnswered))).toBeLessThan(LIMIT_BYTES);
});

it('1,000 errors with four wrong fields each fit', () => {
  const results = Array.from({ length: 1_000 }, wrong);
  expect(limitAnswers(results)).toEqual(results);
  expect(bytesOf(results)).toBeLessThan(LIMIT_BYTES);
});
