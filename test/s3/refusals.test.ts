import { S3ServiceException } from '@aws-sdk/client-s3';
import { expect, it } from 'vitest';
import { toRefusal } from '../../src/s3/answers/refusals.ts';

function answer(httpStatusCode: number, name: string): S3ServiceException {
  return new S3ServiceException({ name, $fault: 'client', $metadata: { httpStatusCode } });
}

it.each([
  ['every request', 'service', 'CreateMultipartUpload', 404, 'NoSuchBucket'],
  ['every request', 'service', 'HeadObject', 403, 'SignatureDoesNotMatch'],
  ['every request', 'service', 'HeadBucket', 301, 'PermanentRedirect'],
  ['every request', 'service', 'HeadObject', 404, 'Unknown'],
  ['the operation', 'operation', 'CreateMultipartUpload', 403, 'AccessDenied'],
  ['the operation', 'operation', 'HeadObject', 501, 'NotImplemented'],
  ['the object', 'object', 'HeadObject', 403, 'AccessDenied'],
  ['the object', 'object', 'DeleteObject', 400, 'KeyTooLongError'],
])('a refusal is about %s (%s): %s, %i %s', (_, about, operation, status, code) => {
  expect(toRefusal(operation, answer(status, code))?.about).toBe(about);
});

it('an upload that another call has ended is no refusal', () => {
  expect(toRefusal('UploadPart', answer(404, 'NoSuchUpload'))).toBeUndefined();
});
