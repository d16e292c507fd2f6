import { GetObjectCommand, PutObjectCommand, S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { create, toBinary } from '@bufbuild/protobuf';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { CreatePresignedPartsResponseSchema } from '../../gen/files/v1/file_service_pb.ts';
import type { Md5 } from '../../src/files/rules/md5.ts';
import { PART_NUMBERS_MAX } from '../../src/files/rules/part-plan.ts';
import { parseS3Key } from '../../src/files/rules/s3-key.ts';
import { type BucketLocation, locateBucket } from '../../src/s3/bucket-location.ts';
import { createClient } from '../../src/s3/client.ts';
import { createSign } from '../../src/s3/signing/sign.ts';
import { createPresigner } from '../../src/s3/urls/presign.ts';

const MD5 = 'KUK/q7PQUzK2brEo4IQs/w==' as Md5;
const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' };
const UPLOAD = {
  s3Key: parseS3Key('u_a.txt'),
  mimeType: 'text/plain; charset=utf-8',
  md5: MD5,
  size: undefined,
};

afterEach(() => vi.useRealTimers());

interface Options extends Partial<BucketLocation> {
  credentials?: S3ClientConfig['credentials'];
}

async function presigner({ credentials: given, ...options }: Options = {}) {
  const location = {
    bucket: 'bucket',
    region: 'eu-west-1',
    endpoint: undefined,
    forcePathStyle: false,
    ...options,
  };
  const client = given
    ? new S3Client({ region: 'eu-west-1', credentials: given })
    : createClient({ ...location, endpoint: undefined, credentials });
  return createPresigner(createSign(client, await locateBucket(client, location)), {
    uploadSeconds: 3_600,
    downloadSeconds: 300,
  });
}

/** The SDK's client, without the checksum parameters and the `x-id` that its commands add and S3 ignores. */
function sdkClient(): S3Client {
  const client = new S3Client({
    region: 'eu-west-1',
    credentials,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  client.middlewareStack.add(
    (next) => (args) => {
      const { query } = args.request as { query: Record<string, string> };
      delete query['x-id'];
      return next(args);
    },
    { step: 'build', priority: 'high' },
  );
  return client;
}

const parts = (url: string) => {
  const { origin, pathname, searchParams } = new URL(url);
  return { origin, pathname, ...Object.fromEntries(searchParams) } as Record<string, string>;
};

describe('an upload URL', () => {
  it('has the same signature as one from the SDK’s command stack', async () => {
    vi.useFakeTimers({ now: new Date('2026-11-23T10:00:00.500Z'), toFake: ['Date'] });
    const client = sdkClient();
    const sdkUrl = await getSignedUrl(
      client,
      new PutObjectCommand({
        Bucket: 'bucket',
        Key: UPLOAD.s3Key,
        ContentType: UPLOAD.mimeType,
        ContentMD5: MD5,
        ContentLength: 5,
      }),
      {
        expiresIn: 3_600,
        signableHeaders: new Set(['host', 'content-type', 'content-md5', 'content-length']),
        unhoistableHeaders: new Set(['content-md5']),
      },
    );
    expect(parts((await (await presigner()).presignUpload({ ...UPLOAD, size: 5 })).url)).toEqual(
      parts(sdkUrl),
    );
  });

  it('signs the type, the MD5 and a known length, and no other header', async () => {
    const { url, requiredHeaders } = await (await presigner()).presignUpload(UPLOAD);
    expect(parts(url)['X-Amz-SignedHeaders']).toBe('content-md5;content-type;host');
    expect(requiredHeaders).toEqual({ 'Content-Type': UPLOAD.mimeType, 'Content-MD5': MD5 });

    const sized = await (await presigner()).presignUpload({ ...UPLOAD, size: 0 });
    expect(parts(sized.url)['X-Amz-SignedHeaders']).toBe('content-length;content-md5;content-type;host');
    expect(sized.requiredHeaders['Content-Length']).toBe('0');
    expect(Object.keys(parts(url)).filter((name) => /checksum|sdk|x-id/i.test(name))).toEqual([]);
  });

  it.each<[string, Partial<BucketLocation>, string]>([
    ['Amazon’s own host', {}, 'https://bucket.s3.eu-west-1.amazonaws.com/u_a.txt'],
    ['the bucket in the path', { forcePathStyle: true }, 'https://s3.eu-west-1.amazonaws.com/bucket/u_a.txt'],
    ['China’s partition', { region: 'cn-north-1' }, 'https://bucket.s3.cn-north-1.amazonaws.com.cn/u_a.txt'],
    ['a bucket with dots', { bucket: 'a.b.c' }, 'https://s3.eu-west-1.amazonaws.com/a.b.c/u_a.txt'],
    [
      'the public endpoint',
      { endpoint: 'https://files.example.com', forcePathStyle: true },
      'https://files.example.com/bucket/u_a.txt',
    ],
    [
      'the public endpoint’s port and path',
      { endpoint: 'http://files.example.com:9000/s3/', forcePathStyle: true },
      'http://files.example.com:9000/s3/bucket/u_a.txt',
    ],
    [
      'the public endpoint, with the bucket in its name',
      { endpoint: 'https://files.example.com' },
      'https://bucket.files.example.com/u_a.txt',
    ],
  ])('points to %s', async (_, options, expected) => {
    const { url } = await (await presigner(options)).presignUpload(UPLOAD);
    const { origin, pathname } = parts(url);
    expect(`${origin}${pathname}`).toBe(expected);
  });
});

describe('expire_time', () => {
  it('equals the expiry in the URL, to the second', async () => {
    vi.useFakeTimers({ now: new Date('2026-11-23T10:00:00.999Z'), toFake: ['Date'] });
    const { url, expireTime } = await (await presigner()).presignUpload(UPLOAD);
    expect(parts(url)).toMatchObject({ 'X-Amz-Date': '20261123T100000Z', 'X-Amz-Expires': '3600' });
    expect(expireTime).toEqual(new Date('2026-11-23T11:00:00Z'));
  });

  it('is the expiry of the credentials if they expire earlier', async () => {
    vi.useFakeTimers({ now: new Date('2026-11-23T10:00:00Z'), toFake: ['Date'] });
    const expiration = new Date('2026-11-23T10:01:00Z');
    const expiring = await presigner({ credentials: { ...credentials, sessionToken: 'token', expiration } });
    const { url, expireTime } = await expiring.presignUpload(UPLOAD);
    expect(parts(url)).toMatchObject({ 'X-Amz-Expires': '60', 'X-Amz-Security-Token': 'token' });
    expect(expireTime).toEqual(expiration);
    expect(
      (await expiring.presignDownload({ s3Key: parseS3Key('k'), filename: 'f', mimeType: 'a/b' })).expireTime,
    ).toEqual(expiration);
  });

  it('follows renewed credentials as soon as the provider returns them', async () => {
    let asked = 0;
    const provider = async () => {
      asked++;
      const lifeMs = asked === 1 ? 60_000 : 6 * 3_600_000;
      return { ...credentials, expiration: new Date(Date.now() + lifeMs) };
    };
    const renewing = await presigner({ credentials: provider });
    await renewing.presignUpload(UPLOAD);
    const { url } = await renewing.presignUpload(UPLOAD);
    expect(parts(url)['X-Amz-Expires']).toBe('3600');
  });

  it('is replaced by STORAGE_UNAVAILABLE when the credentials have expired or cannot be fetched', async () => {
    const dead = await presigner({
      credentials: { ...credentials, expiration: new Date(Date.now() - 1_000) },
    });
    await expect(dead.presignUpload(UPLOAD)).rejects.toMatchObject({ reason: 'STORAGE_UNAVAILABLE' });
    const none = await presigner({ credentials: () => Promise.reject(new Error('no network')) });
    await expect(none.presignUpload(UPLOAD)).rejects.toMatchObject({ reason: 'STORAGE_UNAVAILABLE' });
  });
});

describe('a download URL', () => {
  it('has the SDK’s signature and overrides every header that S3 lets a GET override', async () => {
    vi.useFakeTimers({ now: new Date('2026-11-23T10:00:00Z'), toFake: ['Date'] });
    const { url } = await (await presigner()).presignDownload({
      s3Key: parseS3Key('u_a.txt'),
      filename: `it's (1) "ü" 100%.txt`,
      mimeType: 'text/plain; charset="utf-8"',
    });
    const disposition = parts(url)['response-content-disposition'] ?? '';
    expect(disposition).toBe(
      `attachment; filename="it's (1) ___ 100_.txt"; filename*=UTF-8''it%27s%20%281%29%20%22%C3%BC%22%20100%25.txt`,
    );
    const client = sdkClient();
    const sdkUrl = await getSignedUrl(
      client,
      new GetObjectCommand({
        Bucket: 'bucket',
        Key: 'u_a.txt',
        ResponseContentDisposition: disposition,
        ResponseContentType: 'text/plain; charset="utf-8"',
        ResponseContentEncoding: 'identity',
        ResponseContentLanguage: 'und',
        ResponseCacheControl: 'no-store',
        ResponseExpires: new Date('1970-01-01T00:00:00Z'),
      }),
      { expiresIn: 300 },
    );
    expect(parts(url)).toEqual(parts(sdkUrl));
  });
});

/** The limit of gRPC's clients for a message, unless they set another one. */
const GRPC_DEFAULT_MAX_BYTES = 4 * 1024 ** 2;

it('the most part URLs of a call, with the longest session token, fit into gRPC’s default of 4 MiB', async () => {
  // A URL of nearly 8 kB, the longest that S3 accepts. `+` becomes three characters in a URL.
  const sessionToken = 'AbC+'.repeat(1_100);
  const { presignParts } = await presigner({ credentials: { ...credentials, sessionToken } });
  const numbers = Array.from({ length: PART_NUMBERS_MAX }, (_, i) => i + 1);
  const { urls } = await presignParts({
    s3Key: parseS3Key(`${'u'.repeat(100)}_${'a'.repeat(139)}`),
    uploadId: 'i'.repeat(300),
    parts: numbers.map((number) => ({ number, md5: MD5, size: 5 * 1024 ** 3 })),
  });
  expect(urls[0]?.url.length).toBeGreaterThan(7_500);
  const parts = urls.map(({ number, url, requiredHeaders }) => ({
    partNumber: number,
    presignedUrl: url,
    requiredHeaders,
  }));
  const message = create(CreatePresignedPartsResponseSchema, { parts });
  expect(toBinary(CreatePresignedPartsResponseSchema, message).length).toBeLessThan(GRPC_DEFAULT_MAX_BYTES);
});
