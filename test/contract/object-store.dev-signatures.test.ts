/**
 * Tests signatures as AWS documents them. These tests only run against the development store, because a Ceph
 * RGW is more lenient and its clock cannot be set.
 */
import { createHash, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { Readable } from 'node:stream';
import { HeadObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { parseRequest } from '../../src/dev/object-store/request.ts';
import { authenticate } from '../../src/dev/object-store/signatures/authenticate.ts';
import { startTestObjectStore, type TestObjectStore, testCredentials } from '../harness/object-store.ts';
import { md5Base64, type ObjectStoreTarget, presign, type Response, send } from './object-store-client.ts';

const bytes = Buffer.from('bytes');
const headers = { 'Content-Type': 'text/plain', 'Content-MD5': md5Base64(bytes) };
const temporary = {
  accessKeyId: 'TEMPORARY',
  secretAccessKey: 'temporary-secret',
  sessionToken: 'a/session+token=',
};

let store: TestObjectStore;
let clock: Date;
beforeAll(async () => {
  store = await startTestObjectStore({ now: () => clock, credentials: [testCredentials, temporary] });
});
afterAll(() => store.stop());
beforeEach(() => {
  clock = new Date();
});

async function expectNothingStored(key: string): Promise<void> {
  const answer = await send(await presign(store, { method: 'GET', key }));
  expect(answer.code).toBe('NoSuchKey');
}

async function put(url: string, more: Record<string, string> = {}): Promise<Response> {
  return send(url, { method: 'PUT', headers: { ...headers, ...more }, body: bytes });
}

test('a request that names a signed header thousands of times is refused before it is signed', async () => {
  const url = new URL(await presign(store, { method: 'GET', key: 'k' }));
  url.searchParams.set('X-Amz-SignedHeaders', 'a;'.repeat(2_000).concat('host'));
  const answer = await send(url.href, { headers: { a: 'x'.repeat(8_000) } });
  expect(answer.code).toBe('AuthorizationQueryParametersError');
});

describe('a presigned URL', () => {
  const signedAt = new Date('2026-03-01T12:00:00Z');
  const at = (seconds: number) => new Date(signedAt.getTime() + seconds * 1000);

  test.each([
    [-15 * 60 - 1, 403],
    [-15 * 60, 200],
    [0, 200],
    [59, 200],
    [60, 403],
  ])('with a lifetime of 60 s, %i s after its signing, is answered with %i', async (seconds, status) => {
    const url = await presign(store, {
      method: 'PUT',
      key: `life/${seconds}`,
      headers,
      signingDate: signedAt,
    });
    clock = at(seconds);
    const answer = await put(url);
    expect([answer.status, answer.code]).toEqual([status, status === 200 ? undefined : 'AccessDenied']);
  });

  test.each(['0', '-1', '604801', '1.5', 'abc', ''])(
    'is refused with a lifetime of %j seconds',
    async (expires) => {
      const url = await presign(store, { method: 'PUT', key: 'life/bounds', headers });
      const answer = await put(url.replace('X-Amz-Expires=60', `X-Amz-Expires=${expires}`));
      expect([answer.status, answer.code]).toEqual([400, 'AuthorizationQueryParametersError']);
    },
  );

  test('may have a lifetime of seven days', async () => {
    const week = 604_800;
    const url = await presign(store, {
      method: 'PUT',
      key: 'life/week',
      headers,
      expiresIn: week,
      signingDate: signedAt,
    });
    clock = at(week - 1);
    expect((await put(url)).status).toBe(200);
  });

  test.each([
    'X-Amz-Algorithm',
    'X-Amz-Credential',
    'X-Amz-Date',
    'X-Amz-Expires',
    'X-Amz-SignedHeaders',
    'X-Amz-Signature',
  ])('is refused without %s and with two of them', async (name) => {
    const url = await presign(store, { method: 'PUT', key: 'life/once', headers });
    const [pair = ''] = new RegExp(`${name}=[^&]*`).exec(url) ?? [];
    expect((await put(url.replace(pair, ''))).status).toBe(400);
    expect((await put(`${url}&${pair}`)).status).toBe(400);
    await expectNothingStored('life/once');
  });

  test('is valid for one region, one service and one date', async () => {
    const elsewhere = await presign(
      { ...store, region: 'us-west-2' },
      { method: 'PUT', key: 'scope', headers },
    );
    const answer = await put(elsewhere);
    expect([answer.status, answer.code]).toEqual([400, 'AuthorizationQueryParametersError']);
    expect(answer.body.toString()).toContain('<Region>eu-central-1</Region>');
    const url = await presign(store, { method: 'PUT', key: 'scope', headers });
    expect((await put(url.replace('%2Fs3%2F', '%2Fsts%2F'))).code).toBe('AuthorizationQueryParametersError');
    const date = /X-Amz-Credential=development%2F(\d{8})/.exec(url)?.[1] ?? '';
    expect((await put(url.replace(`%2F${date}`, '%2F20200101'))).code).toBe(
      'AuthorizationQueryParametersError',
    );
    await expectNothingStored('scope');
  });

  test.each([
    ['x-amz-acl', 'private'],
    ['x-amz-meta-injected', 'by the uploader'],
    ['x-amz-storage-class', 'STANDARD'],
    ['x-amz-grant-read', 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'],
    ['x-amz-copy-source', '/files/a-file-of-another-user'],
    ['x-amz-tagging', 'a=b'],
    ['x-amz-website-redirect-location', 'https://example.com/'],
    ['x-amz-object-lock-mode', 'COMPLIANCE'],
  ])('is refused with an unsigned %s header', async (name, value) => {
    const answer = await put(await presign(store, { method: 'PUT', key: 'unsigned', headers }), {
      [name]: value,
    });
    expect([answer.status, answer.code]).toEqual([403, 'AccessDenied']);
    expect(answer.body.toString()).toContain(`<HeadersNotSigned>${name}</HeadersNotSigned>`);
    await expectNothingStored('unsigned');
  });

  test('is refused without a header that was signed as empty', async () => {
    const signed = { ...headers, 'x-amz-meta-note': '' };
    const url = await presign(store, { method: 'PUT', key: 'empty-header', headers: signed });
    expect((await put(url)).code).toBe('SignatureDoesNotMatch');
    await expectNothingStored('empty-header');
  });

  test('is refused with two different values of a signed header', async () => {
    const url = await presign(store, { method: 'PUT', key: 'repeated', headers });
    const twice = { ...headers, 'Content-Type': ['text/plain', 'text/html'] as unknown as string };
    expect((await send(url, { method: 'PUT', headers: twice, body: bytes })).code).toBe(
      'SignatureDoesNotMatch',
    );
  });

  test('needs the session token of temporary credentials', async () => {
    const url = await presign({ ...store, credentials: temporary }, { method: 'PUT', key: 'token', headers });
    const { accessKeyId, secretAccessKey } = temporary;
    expect((await put(url)).status).toBe(200);
    const without = { ...store, credentials: { accessKeyId, secretAccessKey } };
    expect((await put(await presign(without, { method: 'PUT', key: 't', headers }))).code).toBe(
      'InvalidToken',
    );
    const wrong = { ...store, credentials: { ...temporary, sessionToken: 'another' } };
    expect((await put(await presign(wrong, { method: 'PUT', key: 't', headers }))).code).toBe('InvalidToken');
    const needless = { ...store, credentials: { ...testCredentials, sessionToken: 'another' } };
    expect((await put(await presign(needless, { method: 'PUT', key: 't', headers }))).code).toBe(
      'InvalidToken',
    );
    await expectNothingStored('t');
  });

  // By default, the SDK signs the CRC32 of an empty body into the URL, and the URL then accepts only an empty
  // body.
  test('with the checksum of an empty body in its query refuses every other body', async () => {
    const client = new S3Client(store);
    const command = new PutObjectCommand({ Bucket: store.bucket, Key: 'crc32', ContentType: 'text/plain' });
    const url = await getSignedUrl(client, command);
    client.destroy();
    expect(url).toContain('x-amz-checksum-crc32=AAAAAA');
    const answer = await send(url, { method: 'PUT', headers: { 'Content-Type': 'text/plain' }, body: bytes });
    expect([answer.status, answer.code]).toEqual([400, 'BadDigest']);
    await expectNothingStored('crc32');
  });
});

describe('a request without a usable signature', () => {
  test.each(['GET', 'HEAD', 'PUT', 'DELETE', 'POST'])('%s is refused', async (method) => {
    for (const path of [
      '',
      'files',
      'files/a',
      'files?list-type=2',
      'files?uploads',
      'files/a?uploads',
      'nowhere/a',
    ]) {
      const answer = await send(`${store.endpoint}/${path}`, {
        method,
        ...(method === 'PUT' ? { body: bytes } : {}),
      });
      expect([path, answer.status, answer.code]).toEqual([
        path,
        403,
        method === 'HEAD' ? undefined : 'AccessDenied',
      ]);
    }
  });

  test.each([
    ['AWS development:c2lnbmF0dXJl', 'InvalidRequest'],
    ['Basic ZGV2ZWxvcG1lbnQ6c2VjcmV0', 'InvalidArgument'],
    ['AWS4-HMAC-SHA256 Signature=a', 'InvalidRequest'],
    ['AWS4-HMAC-SHA256 Credential=a/b', 'InvalidRequest'],
  ])('is refused with Authorization: %s', async (Authorization, code) => {
    const answer = await send(`${store.endpoint}/files/a`, { headers: { Authorization } });
    expect([answer.status, answer.code]).toEqual([400, code]);
  });

  test('is refused with signatures in the header and in the query', async () => {
    const url = await presign(store, { method: 'GET', key: 'a' });
    expect((await send(url, { headers: { Authorization: 'AWS4-HMAC-SHA256 x' } })).code).toBe(
      'InvalidArgument',
    );
  });
});

describe('a signed header', () => {
  test('is valid for one region and one secret', async () => {
    const list = async (target: ObjectStoreTarget) => {
      // One attempt, because the SDK corrects its region and its clock after a refusal.
      const client = new S3Client({ ...target, maxAttempts: 1 });
      return client.send(new ListObjectsV2Command({ Bucket: store.bucket })).finally(() => client.destroy());
    };
    expect((await list(store)).$metadata.httpStatusCode).toBe(200);
    const elsewhere = { ...store, region: 'us-west-2' };
    await expect(list(elsewhere)).rejects.toMatchObject({ name: 'AuthorizationHeaderMalformed' });
    const guessed = { ...store, credentials: { ...testCredentials, secretAccessKey: 'guessed' } };
    await expect(list(guessed)).rejects.toMatchObject({ name: 'SignatureDoesNotMatch' });
  });

  test.each([
    [-16, 'RequestTimeTooSkewed'],
    [-14, 'NoSuchKey'],
    [14, 'NoSuchKey'],
    [16, 'RequestTimeTooSkewed'],
  ])('from a clock that differs by %i minutes is answered with %s', async (minutes, code) => {
    const signed = signHeaders('GET', '/files/clock', 'UNSIGNED-PAYLOAD');
    clock = new Date(Date.now() + minutes * 60_000);
    expect((await send(`${store.endpoint}/files/clock`, { headers: signed })).code).toBe(code);
  });

  test('covers the body with its SHA-256', async () => {
    const url = `${store.endpoint}/files/sha256`;
    const signed = signHeaders('PUT', '/files/sha256', createHash('sha256').update(bytes).digest('hex'));
    const other = await send(url, { method: 'PUT', headers: signed, body: Buffer.from('other') });
    expect([other.status, other.code]).toEqual([400, 'XAmzContentSHA256Mismatch']);
    await expectNothingStored('sha256');
    expect((await send(url, { method: 'PUT', headers: signed, body: bytes })).status).toBe(200);
  });

  describe('over a stream with a trailing checksum', () => {
    const more = { 'x-amz-decoded-content-length': '5', 'x-amz-trailer': 'x-amz-checksum-crc32' };
    // The CRC32 of "bytes".
    const right = 'sZlDzg==';
    const nine = Array.from({ length: 9 }, (_, i) => `x-amz-meta-${i}:a\r\n`);
    async function stream(body: string, sent: Record<string, string> = more): Promise<Response> {
      const signed = signHeaders('PUT', '/files/stream', 'STREAMING-UNSIGNED-PAYLOAD-TRAILER', sent);
      const url = `${store.endpoint}/files/stream`;
      return send(url, { method: 'PUT', headers: signed, body: Buffer.from(body) });
    }

    const refused: [what: string, body: string, code: string][] = [
      ['another checksum', '5\r\nbytes\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n', 'BadDigest'],
      ['an invalid checksum', '5\r\nbytes\r\n0\r\nx-amz-checksum-crc32:x\r\n\r\n', 'InvalidRequest'],
      ['no checksum', '5\r\nbytes\r\n0\r\n\r\n', 'MalformedTrailerError'],
      ['fewer bytes', `4\r\nbyte\r\n0\r\nx-amz-checksum-crc32:${right}\r\n\r\n`, 'IncompleteBody'],
      ['more bytes', `6\r\nbytes!\r\n0\r\nx-amz-checksum-crc32:${right}\r\n\r\n`, 'IncompleteBody'],
      ['no end', '5\r\nbytes\r\n', 'IncompleteBody'],
      ['no framing', 'bytes', 'IncompleteBody'],
      ['an invalid size', '-1\r\nbytes\r\n0\r\n\r\n', 'InvalidRequest'],
      ['a chunk longer than its size', '4\r\nbytes\r\n0\r\n\r\n', 'InvalidRequest'],
      ['a line without end', 'f'.repeat(10_000), 'InvalidRequest'],
      ['nine trailing headers', `5\r\nbytes\r\n0\r\n${nine.join('')}\r\n`, 'InvalidRequest'],
      ['more after its end', `5\r\nbytes\r\n0\r\nx-amz-checksum-crc32:${right}\r\n\r\nx`, 'InvalidRequest'],
    ];
    test.each(refused)('%s is refused', async (_, body, code) => {
      const answer = await stream(body);
      expect([answer.status, answer.code]).toEqual([400, code]);
      await expectNothingStored('stream');
    });

    test('too many bytes are refused at once, and the rest of the body is still read', async () => {
      const signed = signHeaders('PUT', '/files/stream', 'STREAMING-UNSIGNED-PAYLOAD-TRAILER', more);
      const announcedBytes = 30 * 1024 ** 2;
      const request = httpRequest(`${store.endpoint}/files/stream`, {
        method: 'PUT',
        headers: { ...signed, 'Content-Length': `${announcedBytes}` },
      });
      const begun = Buffer.from(`fffffff\r\n${'a'.repeat(100)}`);
      request.write(begun);
      const [response] = await once(request, 'response');
      expect(response.statusCode).toBe(400);
      // A client may read the response only after it has sent its last byte. It must be able to send all bytes.
      request.end(Buffer.alloc(announcedBytes - begun.length));
      await once(request, 'finish', { signal: AbortSignal.timeout(3000) });
      request.destroy();
    });

    test('a missing decoded length is refused', async () => {
      const { 'x-amz-trailer': trailer } = more;
      expect((await stream('', { 'x-amz-trailer': trailer })).code).toBe('MissingContentLength');
    });

    test('a framing with signatures gets NotImplemented', async () => {
      for (const payload of [
        'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
        'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
      ]) {
        const signed = signHeaders('PUT', '/files/stream', payload, more);
        const answer = await send(`${store.endpoint}/files/stream`, {
          method: 'PUT',
          headers: signed,
          body: bytes,
        });
        expect([answer.status, answer.code]).toEqual([501, 'NotImplemented']);
      }
      await expectNothingStored('stream');
    });

    test('the right checksum is accepted', async () => {
      const body = `3\r\nbyt\r\n2\r\nes\r\n0\r\nx-amz-checksum-crc32:${right}\r\n\r\n`;
      expect((await stream(body)).status).toBe(200);
      expect((await send(await presign(store, { method: 'GET', key: 'stream' }))).body).toEqual(bytes);
    });
  });
});

/** Signs requests that the SDK would not send. AWS's examples below test the server's own calculation. */
function signHeaders(
  method: string,
  path: string,
  sha256: string,
  more: Record<string, string> = {},
): Record<string, string> {
  const timestamp = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const scope = `${timestamp.slice(0, 8)}/${store.region}/s3/aws4_request`;
  const signed = { 'x-amz-content-sha256': sha256, 'x-amz-date': timestamp, ...more };
  const lines = Object.entries({ host: store.endpoint.slice('http://'.length), ...signed }).sort();
  const names = lines.map(([name]) => name).join(';');
  const canonical = [
    method,
    path,
    '',
    ...lines.map(([name, value]) => `${name}:${value}`),
    '',
    names,
    sha256,
  ];
  const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();
  const key = scope.split('/').reduce<string | Buffer>(hmac, `AWS4${testCredentials.secretAccessKey}`);
  const hashed = createHash('sha256').update(canonical.join('\n')).digest('hex');
  const signature = hmac(key, `AWS4-HMAC-SHA256\n${timestamp}\n${scope}\n${hashed}`).toString('hex');
  const Credential = `${testCredentials.accessKeyId}/${scope}`;
  const Authorization = `AWS4-HMAC-SHA256 Credential=${Credential}, SignedHeaders=${names}, Signature=${signature}`;
  return { ...signed, Authorization };
}

describe('the SDK with its default settings', () => {
  test.each(['CRC32', 'CRC64NVME', 'SHA1', 'SHA256'] as const)(
    'sends a %s after the bytes of a stream',
    async (ChecksumAlgorithm) => {
      const client = new S3Client(store);
      const large = Buffer.alloc(1_000_000, 'streamed ');
      const object = { Bucket: store.bucket, Key: `sdk/${ChecksumAlgorithm}` };
      const Body = Readable.from([large.subarray(0, 10), large.subarray(10)]);
      await client.send(
        new PutObjectCommand({ ...object, Body, ContentLength: large.length, ChecksumAlgorithm }),
      );
      const head = await client.send(new HeadObjectCommand(object));
      expect(head).toMatchObject({
        ContentLength: large.length,
        ETag: `"${createHash('md5').update(large).digest('hex')}"`,
      });
      expect(head.ContentEncoding).toBeUndefined();
      client.destroy();
    },
  );

  test('gets NotImplemented for a checksum that the development store cannot verify', async () => {
    const client = new S3Client(store);
    const asked = { Bucket: store.bucket, Key: 'crc32c', Body: bytes, ChecksumCRC32C: 'AAAAAA==' };
    await expect(client.send(new PutObjectCommand(asked))).rejects.toMatchObject({ name: 'NotImplemented' });
    await expectNothingStored('crc32c');
    client.destroy();
  });
});

// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html and sigv4-query-string-auth.html
// have examples with their signatures.
describe("the examples of AWS's documentation", () => {
  const authority = {
    credentials: [
      { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' },
    ],
    region: 'us-east-1',
    now: () => new Date('2013-05-24T00:00:00Z'),
  };
  const emptySha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
  const credential = 'Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request';

  function example(
    method: string,
    url: string,
    host: string,
    more: Record<string, string>,
    signature: string,
  ) {
    const all: Record<string, string> = { host, 'x-amz-date': '20130524T000000Z', ...more };
    const names = Object.keys(all).sort().join(';');
    all.Authorization = `AWS4-HMAC-SHA256 ${credential},SignedHeaders=${names},Signature=${signature}`;
    return authenticate(parseRequest({ method, url, rawHeaders: Object.entries(all).flat() }), authority);
  }

  test.each([
    ['/test.txt', { range: 'bytes=0-9' }, 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41'],
    ['/?lifecycle', {}, 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543'],
    ['/?max-keys=2&prefix=J', {}, '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7'],
  ])('the signature of GET %s is accepted', (url, more, signature) => {
    const sent = { 'x-amz-content-sha256': emptySha256, ...more };
    expect(example('GET', url, 'examplebucket.s3.amazonaws.com', sent, signature)).toMatchObject({
      signature,
    });
  });

  test('the signature of a presigned GET is accepted', () => {
    const signature = 'aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404';
    const url =
      '/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request' +
      `&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=${signature}`;
    const request = parseRequest({
      method: 'GET',
      url,
      rawHeaders: ['Host', 'examplebucket.s3.amazonaws.com'],
    });
    expect(authenticate(request, authority)).toMatchObject({ signature, payloadHash: 'UNSIGNED-PAYLOAD' });
  });
});
