/**
 * Tests the limits of the development object store: requests that it refuses, and broken requests that it
 * must survive.
 */
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { readParts } from '../../src/dev/object-store/xml.ts';
import { startTestObjectStore, type TestObjectStore } from '../harness/object-store.ts';
import { md5Base64, md5Hex, presign, s3Client, send } from './object-store-client.ts';

let store: TestObjectStore;
beforeAll(async () => {
  store = await startTestObjectStore({ minPartBytes: 4 });
});
afterAll(() => store.stop());

const bytes = Buffer.from('bytes');

async function expectAlive(): Promise<void> {
  const url = await presign(store, { method: 'PUT', key: 'alive' });
  expect((await send(url, { method: 'PUT', body: bytes })).status).toBe(200);
}

describe('the development store survives', () => {
  afterEach(expectAlive);

  const requests: [what: string, raw: string][] = [
    ['a path that is not UTF-8', 'GET /files/%ff HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a path with a bare percent', 'GET /files/%zz% HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a query that is not UTF-8', 'GET /files?prefix=%c3%28 HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['an absolute target', 'GET http://a:99999/ HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a target of *', 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a target of an authority', 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['an upgrade', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'],
    ['an invalid host', 'GET / HTTP/1.1\r\nHost: a[b:99999%\r\n\r\n'],
    ['a missing host', 'GET / HTTP/1.1\r\n\r\n'],
    ['an unknown method', 'PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['an unknown expectation', 'PUT /files/a HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n'],
    [
      'a key of 2,000 bytes',
      `PUT /files/${'a'.repeat(2000)} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n`,
    ],
    ['30 kB of headers', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(30_000)}\r\n\r\n`],
    ['two lengths', 'PUT /files/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'],
    [
      'a length and a chunked body',
      'PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
    ],
    ['a broken chunk', 'PUT /files/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'],
    ['bytes that are not HTTP', '\u0016\u0003\u0001\u0002\u0000'],
    ['an empty request', ''],
  ];
  test.each(requests)('%s', async (_, raw) => {
    const answer = await exchange(raw);
    expect(answer).toMatch(/^$|^HTTP\/1\.1 [45]\d\d /);
  });

  test('random bytes without an InternalError', async () => {
    const piece = fc.oneof(
      fc.constantFrom(
        'GET ',
        'PUT ',
        'POST ',
        '/files/',
        '?uploadId=',
        '&',
        '%',
        '=',
        ' HTTP/1.1\r\n',
        '\r\n',
        '\r\n\r\n',
      ),
      fc.constantFrom(
        'Host: a\r\n',
        'Authorization: AWS4-HMAC-SHA256 ',
        'Credential=',
        'X-Amz-Signature=',
        'Content-Length: 5\r\n',
      ),
      fc.string({ unit: 'binary' }),
    );
    const property = fc.asyncProperty(fc.array(piece, { maxLength: 20 }), async (pieces) => {
      expect(await exchange(pieces.join(''), 5)).not.toContain('InternalError');
    });
    await fc.assert(property, {
      interruptAfterTimeLimit: 1000,
      numRuns: 3000,
      markInterruptAsFailure: false,
    });
  });

  test('random signed requests, and answers them with 501 or a status below 500', async () => {
    const text = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom('', '0', '-1', '1e9', '\u0000', '../..', '%'),
    );
    const name = fc.constantFrom(
      'prefix',
      'delimiter',
      'max-keys',
      'continuation-token',
      'start-after',
      'encoding-type',
      'list-type',
      'uploads',
      'uploadId',
      'partNumber',
      'part-number-marker',
      'key-marker',
      'upload-id-marker',
      'max-uploads',
      'delete',
      'acl',
      'response-content-type',
      'response-content-disposition',
      'x-amz-meta-a',
      'x-amz-meta-ü b',
      'x-amz-checksum-sha256',
    );
    const signed = fc.record({
      method: fc.constantFrom('GET', 'HEAD', 'PUT', 'POST', 'DELETE'),
      key: fc.oneof(fc.constant(''), fc.constant('alive'), text),
      query: fc.dictionary(name, text, { maxKeys: 3 }),
    });
    const body = fc.oneof(
      fc.constant(bytes),
      fc.string({ unit: 'binary' }).map((each) => Buffer.from(each)),
    );
    const property = fc.asyncProperty(signed, body, async (asked, sentBody) => {
      const url = await presign(store, asked);
      const { method } = asked;
      const answer = await send(url, {
        method,
        ...(method === 'PUT' || method === 'POST' ? { body: sentBody } : {}),
      });
      expect(answer.status === 501 || answer.status < 500).toBe(true);
    });
    await fc.assert(property, {
      interruptAfterTimeLimit: 2000,
      numRuns: 1000,
      markInterruptAsFailure: false,
    });
  });
});

describe('the development store refuses', () => {
  test('an object of more than 5 GiB before its body is sent', async () => {
    const headers = { 'Content-Length': `${5 * 1024 ** 3 + 1}`, Expect: '100-continue' };
    const onContinue = () => expect.unreachable();
    const answer = await send(await presign(store, { method: 'PUT', key: 'huge' }), {
      method: 'PUT',
      headers,
      onContinue,
    });
    expect([answer.status, answer.code]).toEqual([400, 'EntityTooLarge']);
    // The next bytes on this connection could be the body, so the server must close the connection.
    expect(answer.headers.connection).toBe('close');
  });

  test('a body of unknown length', async () => {
    const headers = { 'Transfer-Encoding': 'chunked' };
    const url = new URL(await presign(store, { method: 'PUT', key: 'unknown' }));
    const answer = await exchange(
      `PUT ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\nTransfer-Encoding: ${headers['Transfer-Encoding']}\r\n\r\n0\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1.1 501 /);
  });

  test.each([
    ['without padding', (md5: string) => md5.slice(0, -2)],
    ['in hex', () => md5Hex(bytes)],
    ['with unused bits set', (md5: string) => md5.replace(/g==$/, 'h==')],
    ['with a blank inside', (md5: string) => `${md5.slice(0, 5)} ${md5.slice(5)}`],
    ['without characters', () => ''],
  ])('a Content-MD5 %s', async (_, spell) => {
    const headers = { 'Content-MD5': spell(md5Base64(bytes)) };
    const url = await presign(store, { method: 'PUT', key: 'md5', headers });
    const answer = await send(url, { method: 'PUT', headers, body: bytes });
    expect([answer.status, answer.code]).toEqual([400, 'InvalidDigest']);
  });

  test('a key of more than 1,024 bytes', async () => {
    const url = await presign(store, { method: 'PUT', key: `${'ü'.repeat(512)}a` });
    const answer = await send(url, { method: 'PUT', body: bytes });
    expect([answer.status, answer.code]).toEqual([400, 'KeyTooLongError']);
  });

  test('a large upload in a way that lets the sender read the error', async () => {
    const url = await presign(store, { method: 'PUT', key: 'readable' });
    for (let i = 0; i < 2; i += 1) {
      const body = Buffer.alloc(30 * 1024 ** 2);
      const answer = await fetch(url.replace(/X-Amz-Signature=...../, 'X-Amz-Signature=00000'), {
        method: 'PUT',
        body,
      });
      expect([answer.status, await answer.text()]).toEqual([
        403,
        expect.stringContaining('SignatureDoesNotMatch'),
      ]);
    }
  });

  test.each([
    ['x-amz-server-side-encryption', 'aws:kms'],
    ['x-amz-tagging', 'a=b'],
    ['x-amz-copy-source', '/files/a'],
    ['x-amz-acl', 'public-read'],
    ['x-amz-storage-class', 'GLACIER'],
    ['x-amz-object-lock-mode', 'GOVERNANCE'],
  ])('a PUT with the header %s, which it does not implement', async (name, value) => {
    const headers = { [name]: value };
    const url = await presign(store, { method: 'PUT', key: 'unknown', headers });
    const answer = await send(url, { method: 'PUT', headers, body: bytes });
    expect([answer.status, answer.code]).toEqual([501, 'NotImplemented']);
  });

  test.each(['acl', 'tagging', 'versionId', 'attributes', 'partNumber'])(
    'GET with ?%s, which it does not implement',
    async (name) => {
      const answer = await send(
        await presign(store, { method: 'GET', key: 'alive', query: { [name]: '1' } }),
      );
      expect([answer.status, answer.code]).toEqual([501, 'NotImplemented']);
    },
  );

  test('a disposition that is not a valid header value', async () => {
    for (const value of ['attachment; filename="ü🦆"', 'a\r\nSet-Cookie: b']) {
      const query = { 'response-content-disposition': value };
      const answer = await send(await presign(store, { method: 'GET', key: 'alive', query }));
      expect([answer.status, answer.code]).toEqual([400, 'InvalidArgument']);
    }
  });

  test.each([
    '',
    '<CompleteMultipartUpload>',
    '<CompleteMultipartUpload/>',
    '<Delete><Part><ETag>e</ETag></Part></Delete>',
    ...[
      'x',
      '<Part><ETag>e</ETag></Part>x',
      '<Part>',
      '<Part/>',
      '<Part></Parts>',
      '<Part><ETag>e</PartNumber></Part>',
      '<Part><!-- e --></Part>',
    ]
      .concat('<Part><ETag><b>e</b></ETag></Part>', '<Part><ETag><![CDATA[e]]></ETag></Part>')
      .map((parts) => `<CompleteMultipartUpload>${parts}</CompleteMultipartUpload>`),
    '<!DOCTYPE a [<!ENTITY x "y">]><CompleteMultipartUpload><Part><ETag>&x;</ETag></Part></CompleteMultipartUpload>',
    '<Part>'.repeat(10_000),
  ])('%s as a list of parts', (xml) => {
    expect(() => readParts(xml)).toThrow(expect.objectContaining({ code: 'MalformedXML' }));
  });
});

test('a list of parts may have a namespace, blanks and further fields', () => {
  const part =
    '\n <Part> <ETag>&quot;e&quot;</ETag>\n<ChecksumCRC32>AAAAAA==</ChecksumCRC32><PartNumber>1</PartNumber></Part>';
  const xml = `<?xml version="1.0"?>\n<CompleteMultipartUpload xmlns="x">${part}${part}\n</CompleteMultipartUpload>\n`;
  const fields = { ETag: '&quot;e&quot;', ChecksumCRC32: 'AAAAAA==', PartNumber: '1' };
  expect(readParts(xml)).toEqual([fields, fields]);
});

describe('If-None-Match: *', () => {
  const headers = { 'If-None-Match': '*' };

  test('accepts one of eight concurrent PUTs', async () => {
    const url = await presign(store, { method: 'PUT', key: 'once', headers });
    const all = Array.from({ length: 8 }, () => send(url, { method: 'PUT', headers, body: bytes }));
    const statuses = (await Promise.all(all)).map(({ status }) => status);
    expect(statuses.sort()).toEqual([200, ...Array(7).fill(412)]);
  });

  test('refuses a PUT before its body is sent', async () => {
    const url = await presign(store, { method: 'PUT', key: 'alive', headers });
    const expecting = { ...headers, Expect: '100-continue', 'Content-Length': '5' };
    const onContinue = () => expect.unreachable();
    await expectAlive();
    expect((await send(url, { method: 'PUT', headers: expecting, body: bytes, onContinue })).status).toBe(
      412,
    );
  });
});

describe('a multipart upload, where S3 and RGW differ', () => {
  const key = { Key: 'multipart' };

  async function upload(...bodies: string[]): Promise<string> {
    const client = s3Client(store);
    const object = { Bucket: store.bucket, ...key };
    const { UploadId = '' } = await client.send(new CreateMultipartUploadCommand(object));
    for (const [index, body] of bodies.entries()) {
      const part = { ...object, UploadId, PartNumber: index + 1, Body: Buffer.from(body) };
      await client.send(new UploadPartCommand(part));
    }
    client.destroy();
    return UploadId;
  }

  async function complete(UploadId: string, ...chosen: [PartNumber: number, body: string][]) {
    // One attempt, because a retry of the SDK would hide a 500.
    const client = new S3Client({ ...store, maxAttempts: 1 });
    const Parts = chosen.map(([PartNumber, body]) => ({ PartNumber, ETag: md5Hex(Buffer.from(body)) }));
    const asked = { Bucket: store.bucket, ...key, UploadId, MultipartUpload: { Parts } };
    return client.send(new CompleteMultipartUploadCommand(asked)).finally(() => client.destroy());
  }

  test('is not completed with parts out of order, repeated, unknown or too small', async () => {
    const uploadId = await upload('abcd', 'efgh', 'ijk', 'l');
    const wrong: [name: string, chosen: [number, string][]][] = [
      [
        'InvalidPartOrder',
        [
          [2, 'efgh'],
          [1, 'abcd'],
        ],
      ],
      [
        'InvalidPartOrder',
        [
          [1, 'abcd'],
          [1, 'abcd'],
        ],
      ],
      [
        'EntityTooSmall',
        [
          [1, 'abcd'],
          [3, 'ijk'],
          [4, 'l'],
        ],
      ],
      [
        'InvalidPart',
        [
          [1, 'abcd'],
          [9, 'l'],
        ],
      ],
    ];
    for (const [name, chosen] of wrong) {
      await expect(complete(uploadId, ...chosen)).rejects.toMatchObject({ name });
    }
  });

  test('can be completed with some of its parts', async () => {
    const uploadId = await upload('abcd', 'efgh', 'ijkl');
    await complete(uploadId, [1, 'abcd'], [3, 'ijkl']);
    expect(
      (await send(await presign(store, { method: 'GET', ...{ key: 'multipart' } }))).body.toString(),
    ).toBe('abcdijkl');
  });

  test('accepts the part numbers 1 to 10,000', async () => {
    const uploadId = await upload();
    for (const [partNumber, status] of [
      ['0', 400],
      ['1', 200],
      ['10000', 200],
      ['10001', 400],
      ['1.5', 400],
      ['', 400],
    ] as const) {
      const url = await presign(store, { method: 'PUT', key: 'multipart', query: { partNumber, uploadId } });
      expect([partNumber, (await send(url, { method: 'PUT', body: bytes })).status]).toEqual([
        partNumber,
        status,
      ]);
    }
  });

  test('is not listed after a key marker of its key alone', async () => {
    await upload();
    const list = async (marker: string) => {
      const query = { uploads: '', 'key-marker': marker };
      return (await send(await presign(store, { method: 'GET', key: '', query }))).body.toString();
    };
    expect(await list('multipar')).toContain('<Key>multipart</Key>');
    expect(await list('multipart')).not.toContain('<Key>multipart</Key>');
  });

  test('is aborted even while it is being completed', async () => {
    // Copying 38 MB takes longer than the DELETE needs to arrive, also on an idle machine.
    const parts = Array.from({ length: 150 }, (_, index) => `part ${index}`.padEnd(256 * 1024));
    const uploadId = await upload(...parts);
    const url = await presign(store, { method: 'DELETE', key: 'multipart', query: { uploadId } });
    const completing = complete(uploadId, ...parts.map((body, index): [number, string] => [index + 1, body]));
    await sleep(10);
    const refused = expect(completing).rejects.toMatchObject({ name: 'NoSuchUpload' });
    expect((await send(url, { method: 'DELETE' })).status).toBe(204);
    await refused;
  });

  test('is aborted even while a part is being sent', async () => {
    const uploadId = await upload();
    const query = { partNumber: '1', uploadId };
    const part = httpRequest(await presign(store, { method: 'PUT', key: 'multipart', query }), {
      method: 'PUT',
      headers: { 'Content-Length': '5' },
    });
    part.write(bytes.subarray(0, 2));
    await sleep(50);
    const url = await presign(store, { method: 'DELETE', key: 'multipart', query: { uploadId } });
    expect((await send(url, { method: 'DELETE' })).status).toBe(204);
    part.end(bytes.subarray(2));
    const [response] = await once(part, 'response');
    expect(response.statusCode).toBe(404);
    response.resume();
  });

  test('is completed once by two concurrent calls', async () => {
    const uploadId = await upload('abcd');
    const answers = await Promise.allSettled([
      complete(uploadId, [1, 'abcd']),
      complete(uploadId, [1, 'abcd']),
    ]);
    expect(answers.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  });
});

test('a bucket in the host name is the same bucket as in the path', async () => {
  const client = s3Client(store);
  const object = { Bucket: store.bucket, Key: 'by host/ü' };
  await client.send(new PutObjectCommand({ ...object, Body: bytes }));
  const { port } = new URL(store.endpoint);
  const virtual = { ...store, endpoint: `http://localhost:${port}`, forcePathStyle: false };
  const headers = { 'Content-MD5': md5Base64(bytes) };
  const put = await presign(virtual, { method: 'PUT', key: 'by host/ä', headers });
  expect(put).toContain(`http://${store.bucket}.localhost:${port}/by%20host`);
  const url = (signed: string) => signed.replace(`${store.bucket}.localhost`, '127.0.0.1');
  const Host = `${store.bucket}.localhost:${port}`;
  expect((await send(url(put), { method: 'PUT', headers: { ...headers, Host }, body: bytes })).status).toBe(
    200,
  );
  await client.send(new HeadObjectCommand({ ...object, Key: 'by host/ä' }));
  const get = await presign(virtual, { method: 'GET', key: 'by host/ü' });
  expect((await send(url(get), { headers: { Host } })).body).toEqual(bytes);
  // The signature covers the host, so the same path on another host is refused.
  expect((await send(url(get), { headers: { Host: `other.localhost:${port}` } })).status).toBe(403);
  client.destroy();
});

/**
 * Sends raw bytes and returns the response when the server closes the connection or has sent nothing for
 * `silenceMs`.
 */
async function exchange(raw: string, silenceMs = 100): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(Number(new URL(store.endpoint).port), '127.0.0.1');
    socket.setEncoding('latin1').on('data', (text) => {
      answer += text;
    });
    socket.setTimeout(silenceMs, () => socket.destroy());
    socket.on('error', () => {}).on('close', () => resolve(answer));
    socket.write(Buffer.from(raw, 'utf8'));
  });
}
