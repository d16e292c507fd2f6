import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, describe, expect, it } from 'vitest';
import { createClient } from '../../src/s3/client.ts';
import { createSignatureCheck } from '../../src/s3/signing/signature-check.ts';
import { openTestBucket } from '../harness/bucket.ts';
import { pathStyle } from '../harness/path-style.ts';
import { startMoto } from '../servers/moto.ts';

await using stack = new AsyncDisposableStack();
const bucket = await openTestBucket();
stack.defer(() => bucket.stop());
const moto = await startMoto();
if (moto !== undefined) stack.use(moto);

let answer = { status: 200, body: '' };
let paths: string[] = [];
/** A server that gives one answer to every request. */
const server = createServer((request, response) => {
  paths.push(request.url ?? '');
  response.writeHead(answer.status, { 'content-type': 'application/xml' }).end(answer.body);
}).listen(0, '127.0.0.1');
await once(server, 'listening');
stack.defer(() => {
  server.close();
  server.closeAllConnections();
});
const owned = stack.move();
afterAll(() => owned.disposeAsync());

const location = { bucket: 'files', region: 'us-east-1', credentials: bucket.credentials };
const double = { ...location, endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };

async function checked(target: typeof double, secretAccessKey = target.credentials.secretAccessKey) {
  const credentials = { ...target.credentials, secretAccessKey };
  const client = createClient({ ...target, credentials, forcePathStyle: true });
  try {
    return await createSignatureCheck(client, pathStyle(target))({ abortSignal: AbortSignal.timeout(5_000) });
  } finally {
    client.destroy();
  }
}

describe('a server that checks signatures', () => {
  it('refuses the request, whatever secret this service has', async () => {
    expect(await checked(bucket)).toBe(true);
    expect(await checked(bucket, 'a wrong secret')).toBe(true);
  });

  it.each([400, 401, 403])('is known by status %s', async (status) => {
    answer = { status, body: '' };
    expect(await checked(double)).toBe(true);
  });
});

describe('a server that checks no signature', () => {
  it.each([
    ['a missing object', 404, '<Error><Code>NoSuchKey</Code></Error>'],
    ['a missing bucket', 404, '<Error><Code>NoSuchBucket</Code></Error>'],
    ['bytes', 200, 'bytes'],
    ['more bytes than an error has', 200, 'b'.repeat(1_000_000)],
  ])('is known by its answer: %s', async (_, status, body) => {
    answer = { status, body };
    paths = [];
    expect(await checked(double)).toBe(false);
    expect(paths).toEqual([expect.stringMatching(/^\/files\/signature-check\?.*&X-Amz-Signature=0{64}$/)]);
  });

  it.runIf(moto !== undefined)('is moto', async () => {
    if (moto !== undefined) expect(await checked({ ...location, ...moto })).toBe(false);
  });
});

it.each([
  ['a proxy without S3 behind it', 404, 'default backend - 404'],
  ['a redirect', 301, ''],
  ['an outage', 503, '<Error><Code>SlowDown</Code></Error>'],
])('%s does not tell, so the check throws', async (_, status, body) => {
  answer = { status, body };
  await expect(checked(double)).rejects.toThrow(`S3 answered ${status} to a wrong signature`);
});
