import { beforeAll, describe, expect, test } from 'vitest';
import type { CorsRule } from '../../src/dev/object-store/cors.ts';
import { md5Base64, presign, type Subject, send } from './object-store-client.ts';

const uploader = 'https://uploads.example.com';
const reader = 'https://eu.readers.example.com';

/** The CORS rules that the bucket of this contract must have. */
export const contractCorsRules: readonly CorsRule[] = [
  {
    AllowedOrigins: [uploader],
    AllowedMethods: ['PUT', 'GET'],
    AllowedHeaders: ['content-type', 'Content-MD5'],
    MaxAgeSeconds: 3600,
  },
  {
    AllowedOrigins: ['https://*.readers.example.com'],
    AllowedMethods: ['GET'],
    AllowedHeaders: ['x-*'],
    ExposeHeaders: ['ETag'],
  },
];

export function corsContract(subject: () => Subject): void {
  describe('a page of another origin', () => {
    const bytes = 'from a page';
    const headers = { 'Content-Type': 'text/plain', 'Content-MD5': md5Base64(Buffer.from(bytes)) };
    let url: string;
    beforeAll(async () => {
      url = await presign(subject().target, { method: 'PUT', key: 'cors/page', headers });
    });

    const preflight = (origin: string, method: string, ...names: string[]) =>
      send(url, {
        method: 'OPTIONS',
        headers: {
          Origin: origin,
          'Access-Control-Request-Method': method,
          ...(names.length > 0 && { 'Access-Control-Request-Headers': names.join(',') }),
        },
      });

    test('gets the allowed methods and headers from a preflight', async () => {
      const answer = await preflight(uploader, 'PUT', 'content-md5', 'content-type');
      expect(answer.status).toBe(200);
      expect(answer.headers).toMatchObject({
        'access-control-allow-origin': uploader,
        'access-control-allow-headers': expect.stringMatching(/^content-md5,\s*content-type$/),
        'access-control-max-age': '3600',
        vary: expect.stringMatching(/\bOrigin\b/),
      });
      expect(answer.headers['access-control-allow-methods']).toMatch(/\bPUT\b/);
    });

    test.each<[what: string, ...asked: Parameters<typeof preflight>]>([
      ['another origin', 'https://evil.example', 'PUT'],
      ['an origin that only begins like an allowed one', `${uploader}.evil.example`, 'PUT'],
      ['an origin with another character in place of a dot', 'https://uploadsxexample.com', 'PUT'],
      ['another scheme', uploader.replace('https', 'http'), 'PUT'],
      ['another method', uploader, 'DELETE'],
      ['another method of a reader', reader, 'PUT'],
      ['another header', uploader, 'PUT', 'content-md5', 'x-amz-acl'],
      ['a header without a rule for the method', uploader, 'PUT', 'x-anything'],
    ])('gets 403 from a preflight with %s', async (_, ...asked) => {
      const answer = await preflight(...asked);
      expect(answer.status).toBe(403);
      expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
    });

    test('is allowed by the wildcards of a later rule', async () => {
      const answer = await preflight(reader, 'GET', 'x-anything');
      expect(answer.status).toBe(200);
      expect(answer.headers['access-control-allow-origin']).toBe(reader);
    });

    test('can read the responses to its PUTs, accepted or refused', async () => {
      const put = (body: string, origin: string) =>
        send(url, { method: 'PUT', headers: { ...headers, Origin: origin }, body: Buffer.from(body) });
      const refused = await put('from a pige', uploader);
      expect([refused.status, refused.code]).toEqual([400, 'BadDigest']);
      expect(refused.headers['access-control-allow-origin']).toBe(uploader);
      const accepted = await put(bytes, uploader);
      expect(accepted.status).toBe(200);
      expect(accepted.headers['access-control-allow-origin']).toBe(uploader);
      expect(accepted.headers).not.toHaveProperty('access-control-expose-headers');
      // CORS stops the browser from sending this request. The bucket accepts the request all the same.
      const foreign = await put(bytes, 'https://evil.example');
      expect(foreign.status).toBe(200);
      expect(foreign.headers).not.toHaveProperty('access-control-allow-origin');
    });

    test('can read the exposed headers', async () => {
      const get = await presign(subject().target, { method: 'GET', key: 'cors/page' });
      const answer = await send(get, { headers: { Origin: reader } });
      expect(answer.headers).toMatchObject({
        'access-control-allow-origin': reader,
        'access-control-expose-headers': expect.stringMatching(/\betag\b/i),
      });
    });
  });
}

/** For a server whose buckets have no CORS rules. */
export function withoutCorsContract(subject: () => Subject): void {
  test('a page of another origin gets no permission from a preflight', async () => {
    const url = await presign(subject().target, { method: 'PUT', key: 'cors/page' });
    const asked = { Origin: uploader, 'Access-Control-Request-Method': 'PUT' };
    const answer = await send(url, { method: 'OPTIONS', headers: asked });
    expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
  });
}
