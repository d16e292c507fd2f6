import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeEach, expect, it } from 'vitest';
import { createClient } from '../../src/s3/client.ts';
import { createObjectStore } from '../../src/s3/objects.ts';
import { createSend } from '../../src/s3/send.ts';
import { startTestObjectStore } from '../harness/object-store.ts';
import { passOn } from '../harness/pass-on.ts';
import { md5 } from '../harness/random.ts';

/** What becomes of the requests that come next; when there is no more, all are passed on. */
let fates: ((answer: ServerResponse) => void)[];
let requests: IncomingMessage[];
/** By name. */
let commands: string[];

await using stack = new AsyncDisposableStack();
const server = await startTestObjectStore();
stack.defer(() => server.stop());
const proxy = createServer((incoming, answer) => {
  requests.push(incoming);
  const fate = fates.shift();
  if (fate !== undefined) return fate(answer);
  passOn(server.endpoint, incoming, answer);
}).listen(0, '127.0.0.1');
await once(proxy, 'listening');
stack.defer(() => {
  proxy.close();
  proxy.closeAllConnections();
});
const place = { ...server, endpoint: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` };
const client = createClient(place);
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
  place,
  createSend((_, run) => run()),
);
const soon = () => Date.now() + 5_000;

const write = (Key: string) =>
  client.send(new PutObjectCommand({ Bucket: place.bucket, Key, Body: 'a', ContentType: 'text/plain' }));
const forget = () => {
  [fates, requests, commands] = [[], [], []];
};
beforeEach(async () => {
  forget();
  await write('there');
  forget();
});

it('a look and a removal are one request each, and none is a command of the SDK', async () => {
  expect(await objects.head('there', soon())).toEqual({
    size: 1,
    etag: md5('a', 'hex'),
    fingerprint: expect.anything(),
    mimeType: 'text/plain',
    contentEncoding: '',
    lastModified: expect.any(Date),
  });
  await objects.remove('there', soon());
  expect(await objects.head('there', soon())).toBeUndefined();
  await objects.remove('there', soon());
  expect(requests.map(({ method }) => method)).toEqual(['HEAD', 'DELETE', 'HEAD', 'DELETE']);
  expect(commands).toEqual([]);
});

it('sees a Content-Encoding, whether it asks by itself or the SDK does', async () => {
  const input = { Bucket: place.bucket, Key: 'encoded', Body: 'a', ContentEncoding: 'gzip' };
  await client.send(new PutObjectCommand(input));
  expect(await objects.head('encoded', soon())).toMatchObject({ contentEncoding: 'gzip' });
  forget();
  fates = [(answer) => answer.writeHead(500).end()];
  expect(await objects.head('encoded', soon())).toMatchObject({ contentEncoding: 'gzip' });
  expect(commands).toEqual(['HeadObjectCommand']);
});

it.each<[string, (answer: ServerResponse) => void]>([
  ['has an error of its own', (answer) => answer.writeHead(500).end()],
  ['is busy', (answer) => answer.writeHead(503).end()],
  ['refuses, as for a clock that is wrong', (answer) => answer.writeHead(403).end()],
  ['says something strange', (answer) => answer.writeHead(202).end()],
  ['closes the connection, as an idle one', (answer) => answer.socket?.destroy()],
])('where S3 %s, the SDK asks again', async (_, fate) => {
  fates = [fate];
  expect(await objects.head('there', soon())).toMatchObject({ size: 1 });
  expect(commands).toEqual(['HeadObjectCommand']);
  fates = [fate];
  await objects.remove('there', soon());
  expect(commands).toEqual(['HeadObjectCommand', 'DeleteObjectCommand']);
  expect(await objects.head('there', soon())).toBeUndefined();
});

it('what S3 refuses twice is STORAGE_UNAVAILABLE', async () => {
  const refuse = (answer: ServerResponse) => void answer.writeHead(403).end();
  fates = Array.from({ length: 8 }, () => refuse);
  await expect(objects.head('there', soon())).rejects.toMatchObject({ reason: 'STORAGE_UNAVAILABLE' });
  await expect(objects.remove('there', soon())).rejects.toMatchObject({ reason: 'STORAGE_UNAVAILABLE' });
});

it('whoever gives up asks no second time', async () => {
  fates = [() => {}];
  await expect(objects.head('there', Date.now() + 100)).rejects.toMatchObject({
    reason: 'STORAGE_UNAVAILABLE',
  });
  expect(requests).toHaveLength(1);
  expect(commands).toEqual([]);
});
