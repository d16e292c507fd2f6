/**
 * Tests that the development object store survives a restart, a stop and a kill with the right content in its
 * directory.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { type ClientRequest, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CreateMultipartUploadCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startTestObjectStore, testBucket, testCredentials, testRegion } from '../harness/object-store.ts';
import { md5Base64, md5Hex, type ObjectStoreTarget, presign, s3Client, send } from './object-store-client.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'object-store-life-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const bytes = Buffer.from('bytes');
const headers = { 'Content-Type': 'text/plain', 'Content-MD5': md5Base64(bytes) };

test('a restart keeps every object with its type and metadata, and every multipart upload', async () => {
  const first = await startTestObjectStore({ directory });
  const client = s3Client(first);
  const object = { Bucket: testBucket, Key: 'kept/ü 🦆' };
  await client.send(
    new PutObjectCommand({ ...object, Body: bytes, ContentType: 'a/b', Metadata: { owner: 'x' } }),
  );
  await client.send(new PutObjectCommand({ ...object, Key: 'kept/empty', Body: Buffer.alloc(0) }));
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(object));
  await client.send(new UploadPartCommand({ ...object, UploadId, PartNumber: 2, Body: bytes }));
  const before = await send(await presign(first, { method: 'HEAD', key: object.Key }), { method: 'HEAD' });
  client.destroy();
  await first.stop();
  // A desktop's file manager leaves such files.
  for (const path of ['buckets', `buckets/${testBucket}`, 'uploads', `uploads/${UploadId}`]) {
    await writeFile(join(directory, path, '.DS_Store'), 'x');
  }

  const second = await startTestObjectStore({ directory });
  const again = s3Client(second);
  const after = await send(await presign(second, { method: 'GET', key: object.Key }));
  expect(after.body).toEqual(bytes);
  for (const name of ['etag', 'content-type', 'last-modified', 'x-amz-meta-owner']) {
    expect(after.headers[name]).toBe(before.headers[name]);
  }
  const { Contents } = await again.send(new ListObjectsV2Command({ Bucket: testBucket }));
  expect(Contents?.map(({ Key, Size }) => [Key, Size])).toEqual([
    ['kept/empty', 0],
    ['kept/ü 🦆', 5],
  ]);
  const { Parts } = await again.send(new ListPartsCommand({ ...object, UploadId }));
  expect(Parts).toMatchObject([{ PartNumber: 2, Size: 5, ETag: `"${md5Hex(bytes)}"` }]);
  again.destroy();
  await second.stop();
});

test('a kill -9 under load loses no acknowledged object and leaves no partial one', {
  timeout: 60_000,
}, async () => {
  const acknowledged = new Map<string, Set<string>>();
  for (let round = 0; round < 4; round += 1) {
    const { child, target } = await startProcess(directory);
    const client = s3Client(target);
    const unfinished = await beginPut(target, 'half');
    let killed = false;
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let i = 0; !killed; i += 1) {
        const body = Buffer.alloc(200_000, `round ${round} writer ${writer} object ${i} `);
        const key = `under-load/${writer}/${i % 20}`;
        // Until the PUT is acknowledged, the key may have the old or the new object. Afterwards it must have
        // the new one.
        const before = acknowledged.get(key) ?? new Set(['absent']);
        acknowledged.set(key, new Set([...before, md5Hex(body)]));
        const sent = { ...headers, 'Content-MD5': md5Base64(body) };
        const url = await presign(target, { method: 'PUT', key, headers: sent });
        const answer = await send(url, { method: 'PUT', headers: sent, body }).catch(() => undefined);
        if (answer?.status === 200) acknowledged.set(key, new Set([md5Hex(body)]));
      }
    });
    await sleep(300 + round * 70);
    child.kill('SIGKILL');
    await once(child, 'exit');
    killed = true;
    await Promise.all(writers);
    unfinished.destroy();
    client.destroy();
  }
  expect((await readdir(join(directory, 'tmp'))).length).toBeGreaterThan(0);

  const store = await startTestObjectStore({ directory });
  expect(await readdir(join(directory, 'tmp'))).toEqual([]);
  expect(acknowledged.size).toBeGreaterThan(20);
  for (const [key, possible] of acknowledged) {
    const answer = await send(await presign(store, { method: 'GET', key }));
    const md5 = answer.status === 404 ? 'absent' : md5Hex(answer.body);
    expect(possible).toContain(md5);
    if (answer.status === 200) expect(answer.headers.etag).toBe(`"${md5}"`);
  }
  expect((await send(await presign(store, { method: 'GET', key: 'half' }))).status).toBe(404);
  await store.stop();
});

test('a reader gets the whole object although it is overwritten and deleted during the read', async () => {
  const store = await startTestObjectStore({ directory });
  const large = Buffer.alloc(20 * 1024 ** 2, 'the old bytes ');
  const sent = { 'Content-MD5': md5Base64(large) };
  await send(await presign(store, { method: 'PUT', key: 'read', headers: sent }), {
    method: 'PUT',
    headers: sent,
    body: large,
  });
  const answer = await fetch(await presign(store, { method: 'GET', key: 'read' }));
  await send(await presign(store, { method: 'PUT', key: 'read', headers }), {
    method: 'PUT',
    headers,
    body: bytes,
  });
  await send(await presign(store, { method: 'DELETE', key: 'read' }), { method: 'DELETE' });
  expect(Buffer.from(await answer.arrayBuffer()).equals(large)).toBe(true);
  await store.stop();
});

test('a stop takes less than 2 s with open connections and leaves no partial files', async () => {
  const store = await startTestObjectStore({ directory });
  const idle = connect(Number(new URL(store.endpoint).port), '127.0.0.1');
  const partial = await beginPut(store, 'half');
  const startedAt = performance.now();
  await store.stop();
  expect(performance.now() - startedAt).toBeLessThan(2000);
  expect(await readdir(join(directory, 'tmp'))).toEqual([]);
  expect(await readdir(join(directory, 'buckets', testBucket))).toEqual([]);
  idle.destroy();
  partial.destroy();
});

test('a taken port is an error at the start of the development store', async () => {
  const store = await startTestObjectStore({ directory });
  const port = Number(new URL(store.endpoint).port);
  await expect(startTestObjectStore({ directory: join(directory, 'second'), port })).rejects.toMatchObject({
    code: 'EADDRINUSE',
  });
  await store.stop();
});

async function startProcess(where: string): Promise<{ child: ChildProcess; target: ObjectStoreTarget }> {
  const script = join(import.meta.dirname, 'object-store-process.ts');
  const child = spawn(process.execPath, [script, where], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(child.stdout, 'data');
  const endpoint = String(line).trim();
  const target = {
    endpoint,
    region: testRegion,
    bucket: testBucket,
    credentials: testCredentials,
    forcePathStyle: true,
  };
  return { child, target };
}

/** Starts a PUT and sends only the first half of its body. */
async function beginPut(target: ObjectStoreTarget, key: string): Promise<ClientRequest> {
  const url = await presign(target, { method: 'PUT', key });
  const request = httpRequest(url, { method: 'PUT', headers: { 'Content-Length': '200000' } });
  request.on('error', () => {});
  request.write(Buffer.alloc(100_000));
  await sleep(100);
  return request;
}
