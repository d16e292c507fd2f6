import { gzipSync } from 'node:zlib';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { beforeAll, describe, expect, test } from 'vitest';
import { downloadOverrides } from '../../src/s3/urls/download-overrides.ts';
import { md5Base64, md5Hex, presign, type Subject, send } from './object-store-client.ts';

const bytes = Buffer.from('0123456789abcdefghij');
const etag = `"${md5Hex(bytes)}"`;

export function readContract(subject: () => Subject): void {
  describe('presigned GET', () => {
    beforeAll(async () => {
      const { client, target } = subject();
      const plain = { Bucket: target.bucket, Key: 'read/twenty', Body: bytes, ContentType: 'text/plain' };
      await client.send(new PutObjectCommand(plain));
      await client.send(
        new PutObjectCommand({ Bucket: target.bucket, Key: 'read/none', Body: Buffer.alloc(0) }),
      );
      await client.send(
        new PutObjectCommand({
          ...plain,
          Key: 'read/described',
          CacheControl: 'max-age=60',
          ContentDisposition: 'attachment; filename="a b.txt"',
          ContentEncoding: 'identity',
          Metadata: { owner: 'someone', 'second-name': 'a, b; c' },
        }),
      );
    });

    async function get(
      key: string,
      headers: Record<string, string> = {},
      query: Record<string, string> = {},
    ) {
      return send(await presign(subject().target, { method: 'GET', key, query }), { headers });
    }

    const ranges: [range: string, expected: string, contentRange: string][] = [
      ['bytes=0-4', '01234', 'bytes 0-4/20'],
      ['bytes=15-', 'fghij', 'bytes 15-19/20'],
      ['bytes=-3', 'hij', 'bytes 17-19/20'],
      ['bytes=-100', bytes.toString(), 'bytes 0-19/20'],
      ['bytes=18-1000', 'ij', 'bytes 18-19/20'],
      ['bytes=19-19', 'j', 'bytes 19-19/20'],
    ];
    test.each(ranges)('returns the range for Range: %s', async (range, expected, contentRange) => {
      const answer = await get('read/twenty', { Range: range });
      expect(answer).toMatchObject({ status: 206, body: Buffer.from(expected) });
      expect(answer.headers).toMatchObject({
        'content-range': contentRange,
        etag,
        'content-length': `${expected.length}`,
      });
    });

    test.each([['bytes=20-'], ['bytes=100-200']])(
      'answers 416 for Range: %s, which is beyond the end',
      async (range) => {
        const answer = await get('read/twenty', { Range: range });
        expect([answer.status, answer.code]).toEqual([416, 'InvalidRange']);
      },
    );

    test('returns the whole object for a Range that is not in bytes', async () => {
      expect(await get('read/twenty', { Range: 'lines=1-2' })).toMatchObject({ status: 200, body: bytes });
    });

    test('obeys If-None-Match and If-Match', async () => {
      const unchanged = await get('read/twenty', { 'If-None-Match': etag });
      expect(unchanged).toMatchObject({ status: 304, body: Buffer.alloc(0) });
      expect((await get('read/twenty', { 'If-None-Match': '"0"' })).status).toBe(200);
      expect((await get('read/twenty', { 'If-Match': etag })).status).toBe(200);
      expect((await get('read/twenty', { 'If-Match': '"0"' })).status).toBe(412);
    });

    test('returns the type and the disposition that the URL signs', async () => {
      const disposition = `attachment; filename="a b.txt"; filename*=UTF-8''%C3%BC%20b.txt`;
      const query = {
        'response-content-disposition': disposition,
        'response-content-type': 'application/x-own',
      };
      expect((await get('read/twenty', {}, query)).headers).toMatchObject({
        'content-disposition': disposition,
        'content-type': 'application/x-own',
      });
    });

    test('returns the headers that the URL overrides and not the stored ones', async () => {
      const { target } = subject();
      const gzip = gzipSync(Buffer.alloc(50_000, 'a'));
      const signed = { 'Content-Type': 'text/plain', 'Content-MD5': md5Base64(gzip) };
      const url = await presign(target, { method: 'PUT', key: 'read/overridden', headers: signed });
      const unsigned = {
        'Content-Encoding': 'gzip',
        'Cache-Control': 'public, max-age=31536000',
        Expires: 'Fri, 01 Jan 2100 00:00:00 GMT',
        'Content-Language': 'tlh',
        'Content-Disposition': 'inline',
      };
      const sent = { method: 'PUT', headers: { ...signed, ...unsigned }, body: gzip };
      expect((await send(url, sent)).status).toBe(200);
      const stored = await send(await presign(target, { method: 'HEAD', key: 'read/overridden' }), {
        method: 'HEAD',
      });
      expect(stored.headers).toMatchObject(
        Object.fromEntries(Object.entries(unsigned).map(([name, value]) => [name.toLowerCase(), value])),
      );

      const overrides = downloadOverrides({ filename: 'a.txt', mimeType: 'application/x-own' });
      const expected = {
        'content-encoding': 'identity',
        'cache-control': 'no-store',
        expires: 'Thu, 01 Jan 1970 00:00:00 GMT',
        'content-language': 'und',
        'content-disposition': `attachment; filename="a.txt"; filename*=UTF-8''a.txt`,
        'content-type': 'application/x-own',
      };
      const whole = await get('read/overridden', {}, overrides);
      expect(whole).toMatchObject({ status: 200, body: gzip, headers: expected });
      const range = await get('read/overridden', { Range: 'bytes=0-1' }, overrides);
      expect(range).toMatchObject({ status: 206, body: gzip.subarray(0, 2), headers: expected });
      // A 304 need not have the overrides, but must not have the stored headers.
      const unchanged = await get(
        'read/overridden',
        { 'If-None-Match': whole.headers.etag ?? '' },
        overrides,
      );
      expect(unchanged.status).toBe(304);
      expect(unchanged.headers['content-encoding'] ?? 'identity').toBe('identity');
      expect(unchanged.headers['cache-control'] ?? 'no-store').toBe('no-store');
    });

    test('returns the headers and metadata that were stored with the object', async () => {
      expect((await get('read/described')).headers).toMatchObject({
        'cache-control': 'max-age=60',
        'content-disposition': 'attachment; filename="a b.txt"',
        'content-encoding': 'identity',
        'content-type': 'text/plain',
        'x-amz-meta-owner': 'someone',
        'x-amz-meta-second-name': 'a, b; c',
      });
    });

    test('answers 404 for a missing object', async () => {
      const missing = await get('read/missing');
      expect([missing.status, missing.code]).toEqual([404, 'NoSuchKey']);
    });

    test('answers 404 without a body to a HEAD of a missing object', async () => {
      const url = await presign(subject().target, { method: 'HEAD', key: 'read/missing' });
      expect(await send(url, { method: 'HEAD' })).toMatchObject({ status: 404, body: Buffer.alloc(0) });
    });

    test('is refused with an unsigned disposition, another key or an expired URL', async () => {
      const { target } = subject();
      const url = await presign(target, { method: 'GET', key: 'read/twenty' });
      expect((await send(`${url}&response-content-disposition=inline`)).status).toBe(403);
      expect((await send(url.replace('read/twenty', 'read/described'))).status).toBe(403);
      const past = { signingDate: new Date(Date.now() - 61_000), expiresIn: 60 };
      expect((await send(await presign(target, { method: 'GET', key: 'read/twenty', ...past }))).status).toBe(
        403,
      );
    });

    test('is refused without a signature', async () => {
      const url = await presign(subject().target, { method: 'GET', key: 'read/twenty' });
      expect((await send(url.replace(/\?.*/, ''))).status).toBe(403);
    });
  });
}
