import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import {
  md5Base64,
  md5Hex,
  type ObjectStoreTarget,
  type Presign,
  presign,
  type Response,
  type Send,
  type Subject,
  send,
} from './object-store-client.ts';

const bytes = Buffer.from('The very bytes that were announced.\n');
const otherBytes = Buffer.from('Other bytes, and just as many of it\n');
const headers = { 'Content-Type': 'text/plain; charset=utf-8', 'Content-MD5': md5Base64(bytes) };

async function put(target: ObjectStoreTarget, asked: Partial<Presign> & { key: string }, sent: Send = {}) {
  const url = await presign(target, { method: 'PUT', headers, ...asked });
  return send(url, { method: 'PUT', headers, body: bytes, ...sent });
}

async function read(target: ObjectStoreTarget, key: string): Promise<Response> {
  return send(await presign(target, { method: 'GET', key }));
}

export function putContract(subject: () => Subject): void {
  describe('presigned PUT', () => {
    test('stores the bytes with Content-Type and Content-MD5 alone', async () => {
      const { target } = subject();
      const answer = await put(target, { key: 'put/plain.txt' });
      expect([answer.status, answer.headers.etag]).toEqual([200, `"${md5Hex(bytes)}"`]);
      const head = await send(await presign(target, { method: 'HEAD', key: 'put/plain.txt' }), {
        method: 'HEAD',
      });
      expect(head).toMatchObject({
        status: 200,
        headers: {
          'content-length': `${bytes.length}`,
          'content-type': headers['Content-Type'],
          etag: `"${md5Hex(bytes)}"`,
        },
      });
      expect(Date.parse(head.headers['last-modified'] ?? '')).toBeGreaterThan(Date.now() - 60_000);
      expect((await read(target, 'put/plain.txt')).body).toEqual(bytes);
    });

    test('stores an empty object', async () => {
      const { target } = subject();
      const nothing = Buffer.alloc(0);
      const sent = { ...headers, 'Content-MD5': md5Base64(nothing) };
      const answer = await put(target, { key: 'put/empty', headers: sent }, { headers: sent, body: nothing });
      expect(answer.status).toBe(200);
      expect(await read(target, 'put/empty')).toMatchObject({
        status: 200,
        body: nothing,
        headers: { 'content-length': '0', etag: '"d41d8cd98f00b204e9800998ecf8427e"' },
      });
    });

    test('stores all bytes of 20 MiB', async () => {
      const { target } = subject();
      const large = Buffer.alloc(20 * 1024 ** 2, 'a large object ');
      const sent = { ...headers, 'Content-MD5': md5Base64(large) };
      expect(
        (await put(target, { key: 'put/large', headers: sent }, { headers: sent, body: large })).status,
      ).toBe(200);
      expect((await read(target, 'put/large')).body.equals(large)).toBe(true);
    });

    test('accepts a body of the signed Content-Length', async () => {
      const { target } = subject();
      const sent = { ...headers, 'Content-Length': `${bytes.length}` };
      expect((await put(target, { key: 'put/length', headers: sent }, { headers: sent })).status).toBe(200);
    });

    test('replaces an object with its type', async () => {
      const { target } = subject();
      await put(target, { key: 'put/twice' });
      const sent = { 'Content-Type': 'image/png', 'Content-MD5': md5Base64(otherBytes) };
      await put(target, { key: 'put/twice', headers: sent }, { headers: sent, body: otherBytes });
      expect(await read(target, 'put/twice')).toMatchObject({
        body: otherBytes,
        headers: { 'content-type': 'image/png' },
      });
    });

    test('is refused with If-None-Match: * when the key is taken', async () => {
      const { target } = subject();
      const sent = { ...headers, 'If-None-Match': '*' };
      expect((await put(target, { key: 'put/once', headers: sent }, { headers: sent })).status).toBe(200);
      const again = await put(target, { key: 'put/once', headers: sent }, { headers: sent });
      expect([again.status, again.code]).toEqual([412, 'PreconditionFailed']);
    });
  });

  const oddKeys = [
    'a b.txt',
    'a+b.txt',
    'a%b%20c.txt',
    'a#b?c&d=e.txt',
    'Grüße, Jürgen.txt',
    '文件/資料.pdf',
    '🦆/🏳️‍🌈.png',
    `quotes " ' \` <&>.txt`,
    "!*'();:@$,[]~_-.txt",
    'a//b/./c/../d',
    '/leading',
    `${'ü'.repeat(500)}`,
  ];
  test.each(oddKeys)('stores and returns an object with the key %j', async (key) => {
    const { target } = subject();
    expect((await put(target, { key })).status).toBe(200);
    expect(await read(target, key)).toMatchObject({ status: 200, body: bytes });
  });

  const md5OfOtherBytes = md5Base64(otherBytes);
  const withLength = { ...headers, 'Content-Length': `${bytes.length}` };
  const without = (name: string) =>
    Object.fromEntries(Object.entries(headers).filter(([each]) => each !== name));
  type Refusal = [
    what: string,
    codes: string[],
    asked: Partial<Presign>,
    sent: Send,
    tamper?: (url: string) => string,
  ];
  const refusals: Refusal[] = [
    ['other bytes', ['BadDigest'], {}, { body: otherBytes }],
    [
      'another length than the signed one',
      ['SignatureDoesNotMatch'],
      { headers: withLength },
      { body: Buffer.concat([bytes, bytes]) },
    ],
    [
      'other bytes with their own Content-MD5',
      ['SignatureDoesNotMatch'],
      {},
      { body: otherBytes, headers: { ...headers, 'Content-MD5': md5OfOtherBytes } },
    ],
    [
      'an invalid Content-MD5',
      ['InvalidDigest'],
      { headers: { ...headers, 'Content-MD5': 'bm90IGFuIG1kNQ==' } },
      { headers: { ...headers, 'Content-MD5': 'bm90IGFuIG1kNQ==' } },
    ],
    [
      'another Content-Type',
      ['SignatureDoesNotMatch'],
      {},
      { headers: { ...headers, 'Content-Type': 'text/html' } },
    ],
    ['no Content-MD5', ['SignatureDoesNotMatch', 'AccessDenied'], {}, { headers: without('Content-MD5') }],
    ['no Content-Type', ['SignatureDoesNotMatch', 'AccessDenied'], {}, { headers: without('Content-Type') }],
    ['an expired URL', ['AccessDenied'], { signingDate: new Date(Date.now() - 120_000), expiresIn: 60 }, {}],
    [
      'a longer lifetime than the signed one',
      ['SignatureDoesNotMatch'],
      { signingDate: new Date(Date.now() - 120_000), expiresIn: 60 },
      {},
      (url) => url.replace('X-Amz-Expires=60', 'X-Amz-Expires=600'),
    ],
    [
      'a tampered signature',
      ['SignatureDoesNotMatch'],
      {},
      {},
      (url) =>
        url.replace(/X-Amz-Signature=(.)/, (_, first) => `X-Amz-Signature=${first === '0' ? '1' : '0'}`),
    ],
    ['no signature at all', ['AccessDenied'], {}, {}, (url) => url.replace(/\?.*$/, '')],
    ['a URL signed for GET', ['SignatureDoesNotMatch'], { method: 'GET' }, {}],
    [
      'an x-amz-* header that is not signed',
      ['AccessDenied'],
      {},
      { headers: { ...headers, 'x-amz-meta-unsigned': 'x' } },
    ],
    ['a further query parameter', ['SignatureDoesNotMatch'], {}, {}, (url) => `${url}&x-amz-acl=public-read`],
  ];
  describe.each(refusals)('PUT with %s', (what, codes, asked, sent, tamper = (url) => url) => {
    const name = what.replaceAll(' ', '-');
    async function attempt(key: string): Promise<Response> {
      const url = await presign(subject().target, { method: 'PUT', headers, key, ...asked });
      return send(tamper(url), { method: 'PUT', headers, body: bytes, ...sent });
    }

    test('is refused and stores nothing', async () => {
      const answer = await attempt(`refused/${name}`);
      expect(codes).toContain(answer.code);
      expect(answer.status).toBe(codes[0] === 'BadDigest' || codes[0] === 'InvalidDigest' ? 400 : 403);
      expect((await read(subject().target, `refused/${name}`)).status).toBe(404);
    });

    test('leaves an earlier object unchanged', async () => {
      const { target } = subject();
      const earlier = Buffer.from('earlier bytes');
      const own = { 'Content-Type': 'text/x-earlier', 'Content-MD5': md5Base64(earlier) };
      await put(target, { key: `kept/${name}`, headers: own }, { headers: own, body: earlier });
      expect((await attempt(`kept/${name}`)).status).toBeGreaterThanOrEqual(400);
      expect(await read(target, `kept/${name}`)).toMatchObject({
        status: 200,
        body: earlier,
        headers: { 'content-type': 'text/x-earlier', etag: `"${md5Hex(earlier)}"` },
      });
    });
  });

  describe('a PUT is refused', () => {
    test('under another key than the signed one', async () => {
      const { target } = subject();
      const url = await presign(target, { method: 'PUT', headers, key: 'refused/mine' });
      const answer = await send(url.replace('refused/mine', 'refused/yours'), {
        method: 'PUT',
        headers,
        body: bytes,
      });
      expect([answer.status, answer.code]).toEqual([403, 'SignatureDoesNotMatch']);
      expect((await read(target, 'refused/yours')).status).toBe(404);
    });

    test('with a secret that the server does not know', async () => {
      const { target } = subject();
      const { accessKeyId } = target.credentials;
      const wrongSecret = { ...target, credentials: { accessKeyId, secretAccessKey: 'guessed' } };
      const answer = await put(wrongSecret, { key: 'refused/secret' });
      expect([answer.status, answer.code]).toEqual([403, 'SignatureDoesNotMatch']);
    });

    test('with an access key that the server does not know', async () => {
      const credentials = { accessKeyId: 'UNKNOWN', secretAccessKey: 'guessed' };
      const answer = await put({ ...subject().target, credentials }, { key: 'refused/unknown' });
      expect([answer.status, answer.code]).toEqual([403, 'InvalidAccessKeyId']);
    });

    test('into a missing bucket', async () => {
      const target = { ...subject().target, bucket: 'no-such-bucket-here' };
      const answer = await put(target, { key: 'a' });
      expect([answer.status, answer.code]).toEqual([404, 'NoSuchBucket']);
    });

    test('without a length', async () => {
      const { target } = subject();
      const url = new URL(await presign(target, { method: 'PUT', headers, key: 'refused/no-length' }));
      const lines = Object.entries(headers).map(([header, value]) => `${header}: ${value}\r\n`);
      const raw = `PUT ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\n${lines.join('')}Connection: close\r\n\r\n`;
      expect(await exchange(url, raw)).toMatch(/^HTTP\/1.1 411 /);
      expect((await read(target, 'refused/no-length')).status).toBe(404);
    });

    test('when the connection ends before the body', async () => {
      const { target } = subject();
      const url = new URL(await presign(target, { method: 'PUT', headers, key: 'refused/short' }));
      const lines = Object.entries(headers).map(([header, value]) => `${header}: ${value}\r\n`);
      const raw = `PUT ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\n${lines.join('')}Content-Length: ${bytes.length}\r\n\r\n${bytes.subarray(0, 10).toString()}`;
      const socket = connect(Number(url.port), url.hostname);
      socket.on('error', () => {});
      socket.write(raw);
      await sleep(100);
      socket.destroy();
      await sleep(200);
      expect((await read(target, 'refused/short')).status).toBe(404);
    });

    test('before the body is sent if the client waits for 100-continue', async () => {
      const { target } = subject();
      const expecting = { ...headers, Expect: '100-continue', 'Content-Length': `${bytes.length}` };
      let continues = 0;
      const onContinue = () => {
        continues += 1;
      };
      const good = await put(target, { key: 'put/continue' }, { headers: expecting, onContinue });
      expect([good.status, continues]).toEqual([200, 1]);
      const wrong = { ...expecting, 'Content-Type': 'text/html' };
      const refused = await put(target, { key: 'refused/continue' }, { headers: wrong, onContinue });
      expect([refused.status, continues]).toEqual([403, 1]);
      expect((await read(target, 'refused/continue')).status).toBe(404);
    });
  });
}

async function exchange(url: URL, raw: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(Number(url.port), url.hostname, () => socket.write(raw));
    socket.setEncoding('latin1').on('data', (text) => {
      answer += text;
    });
    socket.on('end', () => resolve(answer)).on('error', reject);
  });
}
