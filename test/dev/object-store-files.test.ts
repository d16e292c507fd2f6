import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { s3Client } from '../contract/object-store-client.ts';
import { startTestObjectStore, type TestObjectStore, testBucket } from '../harness/object-store.ts';
import { type TemporaryDirectory, temporaryDirectory } from '../harness/temporary-directory.ts';

const isRoot = process.geteuid?.() === 0;
const OTHER_UID = 65_534;

let holder: TemporaryDirectory;
let directory: string;
let store: TestObjectStore;
let client: S3Client;

async function start(): Promise<void> {
  store = await startTestObjectStore({ directory, minPartBytes: 1 });
  client = s3Client(store);
}

async function restart(): Promise<void> {
  await store.stop();
  await start();
}

beforeEach(async () => {
  holder = await temporaryDirectory();
  directory = join(holder.path, 's3');
  await start();
});
afterEach(async () => {
  client.destroy();
  await store.stop();
  await holder[Symbol.asyncDispose]();
});

async function put(Key: string, Body = 'content'): Promise<void> {
  await client.send(new PutObjectCommand({ Bucket: testBucket, Key, Body }));
}

async function get(Key: string): Promise<string | undefined> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket: testBucket, Key }));
  return Body?.transformToString();
}

/** The file of the only object. */
function objectFile(): string {
  const bucket = join(directory, 'buckets', testBucket);
  const [name = ''] = readdirSync(bucket);
  return join(bucket, name);
}

function everythingIn(path: string): string[] {
  return readdirSync(path, { recursive: true, encoding: 'utf8' }).map((name) => join(path, name));
}

test.for(['../../escaped', '..', '/etc/passwd', 'a/../../../b', '%2e%2e%2f', 'nul\u0001', '.'])(
  'the key %j names no file outside the bucket',
  async (key) => {
    const before = everythingIn(holder.path).length;
    await put(key).catch(() => {});
    const added = everythingIn(holder.path).length - before;
    expect(readdirSync(holder.path)).toEqual(['s3']);
    expect(readdirSync(join(directory, 'buckets'))).toEqual([testBucket]);
    expect(readdirSync(join(directory, 'buckets', testBucket))).toHaveLength(added);
    for (const name of readdirSync(join(directory, 'buckets', testBucket))) {
      expect(name).toMatch(/^[0-9a-f]{64}$/);
    }
  },
);

describe('when another process replaces a file while the store runs', () => {
  test('a GET does not follow a link', async () => {
    await put('notes.txt');
    const file = objectFile();
    renameSync(file, join(holder.path, 'elsewhere'));
    symlinkSync(join(holder.path, 'elsewhere'), file);
    await expect(get('notes.txt')).rejects.toThrow();
  });

  test('a GET fails at once when the object is a FIFO', async () => {
    await put('notes.txt');
    const file = objectFile();
    rmSync(file);
    execFileSync('mkfifo', [file]);
    await expect(get('notes.txt')).rejects.toThrow();
  });

  test('CompleteMultipartUpload fails at once when a part is a FIFO', async () => {
    const at = { Bucket: testBucket, Key: 'parts.txt' };
    const { UploadId } = await client.send(new CreateMultipartUploadCommand(at));
    const { ETag } = await client.send(
      new UploadPartCommand({ ...at, UploadId, PartNumber: 1, Body: 'content' }),
    );
    const part = join(directory, 'uploads', UploadId ?? '', '1');
    rmSync(part);
    execFileSync('mkfifo', [part]);
    await expect(
      client.send(
        new CompleteMultipartUploadCommand({
          ...at,
          UploadId,
          MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] },
        }),
      ),
    ).rejects.toThrow();
  });

  test('a PUT replaces a link and does not change its target', async () => {
    await put('notes.txt');
    const target = join(holder.path, 'target');
    writeFileSync(target, 'precious');
    const file = objectFile();
    rmSync(file);
    symlinkSync(target, file);
    await put('notes.txt', 'new content');
    expect(readFileSync(target, 'utf8')).toBe('precious');
    expect(await get('notes.txt')).toBe('new content');
  });
});

describe('when files were replaced before the start', () => {
  test.for(['buckets', 'buckets/files', 'uploads', '.'])('the start refuses %s as a link', async (name) => {
    await store.stop();
    const path = join(directory, name);
    const elsewhere = join(holder.path, 'elsewhere');
    renameSync(path, elsewhere);
    symlinkSync(elsewhere, path);
    await expect(start()).rejects.toThrow(`${path} is a symbolic link`);
    rmSync(path);
    renameSync(elsewhere, path);
  });

  test('the start replaces tmp when it is a link, and does not change its target', async () => {
    await store.stop();
    const elsewhere = join(holder.path, 'elsewhere');
    mkdirSync(elsewhere);
    writeFileSync(join(elsewhere, 'precious'), '');
    rmSync(join(directory, 'tmp'), { recursive: true });
    symlinkSync(elsewhere, join(directory, 'tmp'));
    await start();
    expect(readdirSync(elsewhere)).toEqual(['precious']);
    expect(statSync(join(directory, 'tmp')).isDirectory()).toBe(true);
  });

  test('the start refuses an object whose file is a link or a FIFO', async () => {
    await put('notes.txt');
    await store.stop();
    const file = objectFile();
    const elsewhere = join(holder.path, 'elsewhere');
    renameSync(file, elsewhere);
    symlinkSync(elsewhere, file);
    await expect(start()).rejects.toThrow(`${file} is a symbolic link`);
    rmSync(file);
    execFileSync('mkfifo', [file]);
    await expect(start()).rejects.toThrow(`${file} is not a regular file`);
  });

  test.for(['0720', '0702'])('the start refuses a bucket with mode %s', async (mode) => {
    await store.stop();
    const bucket = join(directory, 'buckets', testBucket);
    chmodSync(bucket, mode);
    await expect(start()).rejects.toThrow(`${bucket} is writable by its group or by every user`);
  });

  test.runIf(isRoot)('the start refuses a directory or a file of another user', async () => {
    await put('notes.txt');
    await store.stop();
    const bucket = join(directory, 'buckets', testBucket);
    for (const path of [
      objectFile(),
      bucket,
      join(directory, 'buckets'),
      join(directory, 'uploads'),
      directory,
    ]) {
      chownSync(path, OTHER_UID, OTHER_UID);
      await expect(start()).rejects.toThrow(`${path} is owned by uid ${OTHER_UID}`);
      chownSync(path, 0, 0);
    }
  });
});

test('the start makes files and directories of an earlier release private', async () => {
  await put('notes.txt');
  const at = { Bucket: testBucket, Key: 'parts.txt' };
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(at));
  await client.send(new UploadPartCommand({ ...at, UploadId, PartNumber: 1, Body: 'content' }));
  await store.stop();
  const paths = [directory, ...everythingIn(directory)];
  for (const path of paths) chmodSync(path, statSync(path).isDirectory() ? 0o755 : 0o644);
  await restart();
  const modes = paths.map((path) => [path, statSync(path).mode & 0o077]);
  expect(modes).toEqual(paths.map((path) => [path, 0]));
  expect(await get('notes.txt')).toBe('content');
});
