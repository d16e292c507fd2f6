import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { s3Key } from '../../src/files/rules/s3-key.ts';
import { createClient, SOCKETS_MAX } from '../../src/s3/client.ts';
import { withFairQueue } from '../../src/s3/fair-send.ts';
import { createMultipartStore } from '../../src/s3/multipart-uploads.ts';
import { createObjectStore } from '../../src/s3/objects.ts';
import { createSend, type Send } from '../../src/s3/send.ts';
import { ampleCall } from '../harness/deadline.ts';
import { testBucket, testCredentials, testRegion } from '../harness/object-store.ts';
import { pathStyle } from '../harness/path-style.ts';

/** Far more operations than there are sockets to S3 (64), so that most of them wait in the queue. */
const OPERATIONS = 300;

/** The time that the test's S3 server takes for each answer, as a busy server does. */
const ANSWER_MS = 30;

const ANSWERS = {
  POST: '<CompleteMultipartUploadResult><UploadId>id</UploadId></CompleteMultipartUploadResult>',
  GET: '<ListPartsResult><IsTruncated>false</IsTruncated></ListPartsResult>',
} as Record<string, string>;

async function openSlowStores() {
  const server = createServer(async (request, response) => {
    await sleep(ANSWER_MS);
    const object = { etag: '"e"', 'last-modified': new Date().toUTCString(), 'content-length': 0 };
    if (request.method === 'HEAD') response.writeHead(200, object);
    response.end(ANSWERS[request.method ?? '']);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const location = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bucket: testBucket,
    region: testRegion,
    credentials: testCredentials,
    forcePathStyle: true,
  };
  const client = createClient(location);
  onTestFinished(() => {
    client.destroy();
    server.close();
    server.closeAllConnections();
  });
  const send = withFairQueue(createSend((_, run) => run()));
  return {
    objects: createObjectStore(client, pathStyle(location), send),
    multipart: createMultipartStore(client, testBucket, send),
  };
}

it.each([
  ['HEAD', ({ objects }) => [(call, key) => objects.head(call, key)]],
  [
    'multipart',
    ({ multipart }) => [
      (call, key) => multipart.begin(call, key, 'video/mp4'),
      (call, key) => multipart.parts(call, key, 'id'),
      (call, key) => multipart.complete(call, key, 'id', [{ number: 1, size: 1, etag: 'e' }]),
    ],
  ],
] as [string, (stores: Awaited<ReturnType<typeof openSlowStores>>) => Operation[]][])(
  'hundreds of waiting %s requests of one user do not delay another user’s HEAD',
  async (_, operationsOf) => {
    const stores = await openSlowStores();
    const answered: string[] = [];
    const run = async (user: string, operation: Operation) => {
      await operation(ampleCall(user), s3Key(user, 'a.txt'));
      answered.push(user);
    };
    const operations = operationsOf(stores);
    const greedy = operations.flatMap((operation) =>
      Array.from({ length: OPERATIONS / operations.length }, () => run('greedy', operation)),
    );
    // From the first answer on, all requests wait: in the queue, or for a socket.
    await Promise.race(greedy);
    const before = answered.length;
    await run('modest', (call, key) => stores.objects.head(call, key));
    // Before the modest user's request, only these may end: the requests that were already running, and one more of the
    // greedy user for each socket.
    expect(answered.indexOf('modest') - before).toBeLessThanOrEqual(2 * SOCKETS_MAX);
    await Promise.all(greedy);
  },
);

type Operation = (...args: Parameters<ReturnType<typeof createObjectStore>['head']>) => Promise<unknown>;

it('an operation that waits too long in the fair queue fails with STORAGE_UNAVAILABLE and is not sent', async () => {
  const sent: string[] = [];
  const never: Send = (_, operation) => {
    sent.push(operation);
    return new Promise<never>(() => {});
  };
  const send = withFairQueue(never);
  const request = async () => undefined;
  for (let i = 0; i < SOCKETS_MAX; i++) void send(ampleCall(`a${i}`), 'running', request);
  const late = { userId: 'b', deadline: Date.now() + 20 };
  await expect(send(late, 'late', request)).rejects.toMatchObject({
    reason: 'STORAGE_UNAVAILABLE',
    retryAfterMs: 1_000,
  });
  expect(sent).not.toContain('late');
});

it('a user’s requests hold half of the sockets, and leave the others to work without a user', async () => {
  const began: string[] = [];
  const ends: (() => void)[] = [];
  const recording: Send = (_, operation, request) =>
    new Promise((resolve) => {
      began.push(operation);
      ends.push(() => resolve(request({ abortSignal: new AbortController().signal })));
    });
  const send = withFairQueue(recording);
  const request = async () => undefined;
  const all = [
    ...Array.from({ length: 2 * SOCKETS_MAX }, () => send(ampleCall('greedy'), 'greedy', request)),
    send({ deadline: Date.now() + 60_000 }, 'background', request),
  ];
  await expect.poll(() => began.slice(SOCKETS_MAX / 2)).toEqual(['background']);
  while (ends.length > 0) {
    ends.shift()?.();
    await sleep(0);
  }
  await Promise.all(all);
});
