import { Readable } from 'node:stream';
import { S3RequestPresigner } from '@aws-sdk/s3-request-presigner';
import { describe, expect, it, vi } from 'vitest';
import { readConfig } from '../../src/config/config.ts';
import { UPLOAD_HEADER_NAMES } from '../../src/config/upload-headers.ts';
import type { Md5 } from '../../src/files/rules/md5.ts';
import { parseS3Key } from '../../src/files/rules/s3-key.ts';
import { createClient } from '../../src/s3/client.ts';
import { createMultipartStore } from '../../src/s3/multipart-uploads.ts';
import { createSend } from '../../src/s3/send.ts';
import { createSign } from '../../src/s3/signing/sign.ts';
import { createPresigner } from '../../src/s3/urls/presign.ts';
import { uploadHeaders } from '../../src/s3/urls/upload-headers.ts';
import { ampleCall } from '../harness/deadline.ts';
import { pathStyle } from '../harness/path-style.ts';

const KEY = parseS3Key('u_a.txt');
const MD5 = 'KUK/q7PQUzK2brEo4IQs/w==' as Md5;

function headersOf(text: string): Record<string, string> {
  return readConfig({ DATABASE_URL: 'postgres://db/files', S3_BUCKET: 'files', S3_UPLOAD_HEADERS: text })
    .storage.uploadHeaders;
}

describe('S3_UPLOAD_HEADERS', () => {
  it('names headers and values, whose names are made lower-case', () => {
    expect(headersOf('')).toEqual({});
    expect(
      headersOf(
        'X-Amz-Server-Side-Encryption=aws:kms, x-amz-server-side-encryption-aws-kms-key-id=arn:aws:kms:eu-west-1:1:key/a-b,x-amz-tagging=team=files&cost%20center=7',
      ),
    ).toEqual({
      'x-amz-server-side-encryption': 'aws:kms',
      'x-amz-server-side-encryption-aws-kms-key-id': 'arn:aws:kms:eu-west-1:1:key/a-b',
      'x-amz-tagging': 'team=files&cost%20center=7',
    });
  });

  it.each([
    ['x-amz-server-side-encryption', /x-amz-server-side-encryption=: the value must be AES256/],
    ['encryption=AES256', /with the names x-amz-server-side-encryption, .*and has "encryption"/],
    ['content-encoding=gzip', /has "content-encoding"/],
    ['x-amz-server-side-encryption-customer-key=a', /has "x-amz-server-side-encryption-customer-key"/],
    ['x-amz-object-lock-mode=GOVERNANCE', /has "x-amz-object-lock-mode"/],
    ['constructor=a', /has "constructor"/],
    ['x-amz-storage-class=STANDARD,', /has ""/],
    ['x-amz-storage-class=STANDARD,x-amz-storage-class=STANDARD', /has x-amz-storage-class twice/],
    ['x-amz-server-side-encryption=AES128', /must be AES256, aws:kms or aws:kms:dsse/],
    ['x-amz-storage-class=GLACIER', /must be a storage class whose objects can be read at once/],
    ['x-amz-acl=public-read', /must be private, .*because files are private/],
    ['x-amz-expected-bucket-owner=my account', /the id of an account/],
    ['x-amz-tagging=a=1&a=2', /1 to 10 tags/],
    [`x-amz-tagging=${'k'.repeat(129)}=1`, /1 to 10 tags/],
    ['x-amz-tagging=a=%zz', /1 to 10 tags/],
    ['x-amz-server-side-encryption-bucket-key-enabled=yes', /true or false/],
    [
      'x-amz-server-side-encryption-aws-kms-key-id=a,x-amz-server-side-encryption=AES256',
      /has x-amz-server-side-encryption-aws-kms-key-id, which S3 takes only with .*aws:kms/,
    ],
    ['x-amz-server-side-encryption-context=e30=', /-context, which S3 takes only with/],
    [
      'x-amz-server-side-encryption=aws:kms,x-amz-server-side-encryption-context=W10=',
      /base64 of a JSON object/,
    ],
    [
      'x-amz-server-side-encryption=aws:kms:dsse,x-amz-server-side-encryption-bucket-key-enabled=true',
      /bucket-key-enabled=true, which S3 takes only with/,
    ],
  ])('%s is refused with the reason', (text, reason) => {
    expect(() => headersOf(text)).toThrow(
      expect.objectContaining({
        name: 'ConfigError',
        problems: [expect.stringMatching(new RegExp(`^S3_UPLOAD_HEADERS .*${reason.source}`))],
      }),
    );
  });
});

const ALL = {
  'x-amz-server-side-encryption': 'aws:kms',
  'x-amz-server-side-encryption-aws-kms-key-id': 'alias/files',
  'x-amz-server-side-encryption-bucket-key-enabled': 'true',
  'x-amz-server-side-encryption-context': 'e30=',
  'x-amz-storage-class': 'STANDARD_IA',
  'x-amz-tagging': 'team=files',
  'x-amz-acl': 'bucket-owner-full-control',
  'x-amz-expected-bucket-owner': '123456789012',
};
const OWNER = { 'x-amz-expected-bucket-owner': '123456789012' };

const location = {
  bucket: 'bucket',
  region: 'eu-west-1',
  endpoint: 'http://localhost:9000',
  forcePathStyle: true,
  credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
};

/** The ports of the service with these headers. Requests are recorded and not sent. */
function openPorts(headers: Record<string, string>) {
  const client = createClient(location);
  const sent: Record<string, string>[] = [];
  client.config.requestHandler.handle = async (request) => {
    sent.push((request as { headers: Record<string, string> }).headers);
    return { response: { statusCode: 400, headers: {}, body: Readable.from([]) } } as never;
  };
  const options = uploadHeaders(headers);
  const sign = createSign(client, pathStyle(location));
  return {
    sent,
    multipart: createMultipartStore(
      client,
      'bucket',
      createSend((_, run) => run()),
      options,
    ),
    presigner: createPresigner(sign, { uploadSeconds: 60, downloadSeconds: 60, uploadHeaders: options }),
  };
}

const amazonHeaders = (headers: Record<string, string> | undefined) =>
  Object.fromEntries(
    Object.entries(headers ?? {}).filter(([name]) => /^x-amz-(?!content-sha256|date|user-agent)/.test(name)),
  );
const signedHeaders = (url: string) => new URL(url).searchParams.get('X-Amz-SignedHeaders')?.split(';');

describe('the headers', () => {
  it('of the test are all headers that the setting may have', () => {
    expect(
      headersOf(
        Object.entries(ALL)
          .map((pair) => pair.join('='))
          .join(','),
      ),
    ).toEqual(ALL);
    expect(Object.keys(ALL).sort()).toEqual([...UPLOAD_HEADER_NAMES].sort());
  });

  it.each(Object.entries(ALL))('%s is signed and required in a single PUT', async (name, value) => {
    const { presigner } = openPorts({ [name]: value });
    const { url, requiredHeaders } = await presigner.presignUpload({
      s3Key: KEY,
      mimeType: 'a/b',
      md5: MD5,
      size: undefined,
    });
    expect(requiredHeaders).toEqual({ 'Content-Type': 'a/b', 'Content-MD5': MD5, [name]: value });
    expect(signedHeaders(url)).toEqual(['content-md5', 'content-type', 'host', name]);
    expect(new URL(url).searchParams.has(name)).toBe(false);
  });

  it('all go to CreateMultipartUpload, and only the expected owner to each part and to the completion', async () => {
    const { sent, multipart, presigner } = openPorts(ALL);
    const call = ampleCall();
    await multipart.begin(call, KEY, 'a/b').catch(() => undefined);
    expect(amazonHeaders(sent.splice(0)[0])).toEqual(ALL);
    await multipart.complete(call, KEY, 'id', [{ number: 1, size: 1, etag: 'e' }]).catch(() => undefined);
    expect(amazonHeaders(sent.splice(0)[0])).toEqual(OWNER);

    const parts = [{ number: 1, md5: MD5, size: 5 }];
    const { urls } = await presigner.presignParts({ s3Key: KEY, uploadId: 'id', parts });
    const [part] = urls;
    expect(part?.requiredHeaders).toEqual({ 'Content-MD5': MD5, 'Content-Length': '5', ...OWNER });
    expect(signedHeaders(part?.url ?? '')).toEqual([
      'content-length',
      'content-md5',
      'host',
      'x-amz-expected-bucket-owner',
    ]);
  });

  it('are in no download URL', async () => {
    const { presigner } = openPorts(ALL);
    const { url } = await presigner.presignDownload({ s3Key: KEY, filename: 'a', mimeType: 'a/b' });
    expect(signedHeaders(url)).toEqual(['host']);
  });

  it('are signed with the signature of the SDK, so that the SDK signs only the first URL', async () => {
    const presign = vi.spyOn(S3RequestPresigner.prototype, 'presign');
    const { presigner } = openPorts(ALL);
    const upload = { s3Key: KEY, mimeType: 'a/b', md5: MD5, size: 1 };
    for (let i = 0; i < 3; i++) await presigner.presignUpload(upload);
    expect(presign).toHaveBeenCalledTimes(1);
    presign.mockRestore();
  });
});
