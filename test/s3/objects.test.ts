import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeEach, expect, it } from 'vitest';
import { parseS3Key } from '../../src/files/rules/s3-key.ts';
import { locateBucket } from '../../src/s3/bucket-location.ts';
import { createClient } from '../../src/s3/client.ts';
import { createObjectStore } from '../../src/s3/objects.ts';
import { createSend } from '../../src/s3/send.ts';
import { startTestObjectStore } from '../harness/object-store.ts';
import { passOn } from '../harness/pass-on.ts';
import { md5 } from '../harness/random.ts';

/**
 * How the proxy answers the next requests, in this order. It passes all further requests on to the object
 * store.
 */
let fates: ((response: ServerResponse) => void)[];
let requests: IncomingMessage[];
/** The names of the SDK commands that the client ran. */
let commands: string[];

await using stack = new AsyncDisposableStack();
const server = await startTestObjectStore();
stack.defer(() => server.stop());
const proxy = createServer((incoming, response) => {
  requests.push(incoming);
  const fate = fates.shift();
  if (fate !== undefined) return fate(response);
  passOn(server.endpoint, incoming, response);
}).listen(0, '127.0.0.1');
await once(proxy, 'listening');
stack.defer(() => {
  proxy.close();
  proxy.closeAllConnections();
});
const location = { ...server, endpoint: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` };
const client = createClient(location);
stack.defer(() => client.destroy());
client.middlewareStack.add(
  (next, { commandName = '' }) =>
    (args) => {
      commands.push(commandName);
      return next(args);
    },
  { step: 'initialize' },
);
const owned = stack.move();
afterAll(() => owned.disposeAsync());

const objects = createObjectStore(
  client,
  await locateBucket(client, location),
  createSend((_, run) => run()),
);
const soon = () => ({ userId: 'ada', deadline: Date.now() + 5_000 });

const write = (Key: string) =>
  client.send(new PutObjectCommand({ Bucket: location.bucket, Key, Body: 'a', ContentType: 'text/plain' }));
const resetRecords = () => {
  [fates, requests, commands] = [[], [], []];
};
beforeEach(async () => {
  resetRecords();
  await write('present');
  resetRecords();
});

it('HEAD and DELETE are one request each and run no command of the SDK', async () => {
  expect(await objects.head(soon(), parseS3Key('present'))).toEqual({
    size: 1,
    etag: md5('a', 'hex'),
    isEtagOpaque: false,
    fingerprint: expect.anything(),
    mimeType: 'text/plain',
    contentEncoding: '',
    lastModified: expect.any(Date),
  });
  await objects.remove(soon(), parseS3Key('present'));
  expect(await objects.head(soon(), parseS3Key('present'))).toBeUndefined();
  await objects.remove(soon(), parseS3Key('present'));
  expect(requests.map(({ method }) => method)).toEqual(['HEAD', 'DELETE', 'HEAD', 'DELETE']);
  expect(commands).toEqual([]);
});

it('head returns the Content-Encoding, from its own request and from the SDK’s', async () => {
  const input = { Bucket: location.bucket, Key: 'encoded', Body: 'a', ContentEncoding: 'gzip' };
  await client.send(new PutObjectCommand(input));
  expect(await objects.head(soon(), parseS3Key('encoded'))).toMatchObject({ contentEncoding: 'gzip' });
  resetRecords();
  fates = [(response) => response.writeHead(500).end()];
  expect(await objects.head(soon(), parseS3Key('encoded'))).toMatchObject({ contentEncoding: 'gzip' });
  expect(commands).toEqual(['HeadObjectCommand']);
});

it.each<[string, (response: ServerResponse) => void]>([
  ['answers 500', (response) => response.writeHead(500).end()],
  ['answers 503', (response) => response.writeHead(503).end()],
  ['answers 202, which is unexpected', (response) => response.writeHead(202).end()],
  ['closes the connection, like an idle one', (response) => response.socket?.destroy()],
])('repeats HEAD and DELETE with the SDK when S3 %s', async (_, fate) => {
  fates = [fate];
  expect(await objects.head(soon(), parseS3Key('present'))).toMatchObject({ size: 1 });
  expect(commands).toEqual(['HeadObjectCommand']);
  fates = [fate];
  await objects.remove(soon(), parseS3Key('present'));
  expect(commands).toEqual(['HeadObjectCommand', 'DeleteObjectCommand']);
  expect(await objects.head(soon(), parseS3Key('present'))).toBeUndefined();
});

it('asks with a GET when S3 answers 403, as for a wrong clock, and repeats HEAD and DELETE with the SDK', async () => {
  const refuse = (response: ServerResponse) => void response.writeHead(403).end();
  fates = [refuse];
  expect(await objects.head(soon(), parseS3Key('present'))).toMatchObject({ size: 1 });
  expect(commands).toEqual(['GetObjectCommand', 'HeadObjectCommand']);
  fates = [refuse];
  await objects.remove(soon(), parseS3Key('present'));
  expect(commands.slice(2)).toEqual(['DeleteObjectCommand']);
});

it.each([
  ['last-modified', 'garbage'],
  ['last-modified', ''],
  ['last-modified', '-000100-01-01T00:00:00Z'],
  ['last-modified', '+010000-01-01T00:00:00Z'],
  ['content-length', String(2n ** 63n)],
])('refuses an answer whose %s is %j, which no file can have', async (name, value) => {
  const headers = {
    'content-length': '1',
    etag: `"${md5('a', 'hex')}"`,
    'last-modified': new Date().toUTCString(),
    [name]: value,
  };
  fates = [(response) => response.writeHead(200, headers).end()];
  await expect(objects.head(soon(), parseS3Key('present'))).rejects.toMatchObject({
    reason: 'STORAGE_UNAVAILABLE',
    cause: { message: 'S3 answered HeadObject without a valid Content-Length, ETag or Last-Modified' },
  });
});

it('an aborted HEAD is not repeated with the SDK', async () => {
  fates = [() => {}];
  await expect(
    objects.head({ userId: 'ada', deadline: Date.now() + 100 }, parseS3Key('present')),
  ).rejects.toMatchObject({
    reason: 'STORAGE_UNAVAILABLE',
  });
  expect(requests).toHaveLength(1);
  expect(commands).toEqual([]);
});
