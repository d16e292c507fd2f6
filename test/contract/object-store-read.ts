import { PutObjectCommand } from '@aws-sdk/client-s3';
import { beforeAll, describe, expect, test } from 'vitest';
import { md5Hex, presign, type Subject, send } from './object-store-client.ts';

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
    test.each(ranges)('with Range: %s', async (range, expected, contentRange) => {
      const answer = await get('read/twenty', { Range: range });
      expect(answer).toMatchObject({ status: 206, body: Buffer.from(expected) });
      expect(answer.headers).toMatchObject({
        'content-range': contentRange,
        etag,
        'content-length': `${expected.length}`,
      });
    });

    test.each([['bytes=20-'], ['bytes=100-200']])('with Range: %s, beyond the end', async (range) => {
      const answer = await get('read/twenty', { Range: range });
      expect([answer.status, answer.code]).toEqual([416, 'InvalidRange']);
    });

    test('with a Range that is none gives the whole object', async () => {
      expect(await get('read/twenty', { Range: 'lines=1-2' })).toMatchObject({ status: 200, body: bytes });
    });

    test('with If-None-Match and If-Match', async () => {
      const unchanged = await get('read/twenty', { 'If-None-Match': etag });
      expect(unchanged).toMatchObject({ status: 304, body: Buffer.alloc(0) });
      expect((await get('read/twenty', { 'If-None-Match': '"0"' })).status).toBe(200);
      expect((await get('read/twenty', { 'If-Match': etag })).status).toBe(200);
      expect((await get('read/twenty', { 'If-Match': '"0"' })).status).toBe(412);
    });

    test('answers with the type and the disposition that the URL signs', async () => {
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

    test('gives back what the object was described with', async () => {
      expect((await get('read/described')).headers).toMatchObject({
        'cache-control': 'max-age=60',
        'content-disposition': 'attachment; filename="a b.txt"',
        'content-encoding': 'identity',
        'content-type': 'text/plain',
        'x-amz-meta-owner': 'someone',
        'x-amz-meta-second-name': 'a, b; c',
      });
    });

    test('of nothing', async () => {
      const missing = await get('read/missing');
      expect([missing.status, missing.code]).toEqual([404, 'NoSuchKey']);
      const url = await presign(subject().target, { method: 'HEAD', key: 'read/missing' });
      expect(await send(url, { method: 'HEAD' })).toMatchObject({ status: 404, body: Buffer.alloc(0) });
    });

    test('is refused with a disposition that was not signed, an expired or a tampered URL', async () => {
      const { target } = subject();
      const url = await presign(target, { method: 'GET', key: 'read/twenty' });
      expect((await send(`${url}&response-content-disposition=inline`)).status).toBe(403);
      expect((await send(url.replace('read/twenty', 'read/described'))).status).toBe(403);
      const past = { signingDate: new Date(Date.now() - 61_000), expiresIn: 60 };
      expect((await send(await presign(target, { method: 'GET', key: 'read/twenty', ...past }))).status).toBe(
        403,
      );
      expect((await send(url.replace(/\?.*/, ''))).status).toBe(403);
    });
  });
}
