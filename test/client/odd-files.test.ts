import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { link, open, readFile, rename, symlink, unlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type Descriptor, descriptorOf } from '../../src/client/node/descriptor.ts';
import { readToEnd } from '../../src/client/node/read-to-end.ts';
import { findSource } from '../../src/client/node/source.ts';
import { uploadFile } from '../../src/client/node.ts';
import { UploadError } from '../../src/client/upload/upload-error.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { downloaded, openFixture } from './fixture.ts';

const fixture = forAllTests(() => openFixture());

/** Only Linux has files whose size is not the number of their bytes. */
const onLinux = it.runIf(process.platform === 'linux');

onLinux.each([
  ['/proc/version', 'has the size 0 and content'],
  ['/sys/kernel/mm/transparent_hugepage/enabled', 'is shorter than its size'],
])('%s, which %s, is stored with its real bytes', async (path) => {
  const files = fixture.user();
  const { file } = await uploadFile(files, path);
  const bytes = await readFile(path);
  expect(bytes.length).toBeGreaterThan(0);
  expect(file.size).toBe(BigInt(bytes.length));
  expect(await downloaded(files, file.s3Key)).toEqual(bytes);
});

onLinux('a file of /proc that the caller opened is stored with its real bytes', async () => {
  const files = fixture.user();
  await using handle = await open('/proc/version');
  const { file } = await uploadFile(files, handle, { filename: 'version' });
  expect(await downloaded(files, file.s3Key)).toEqual(await readFile('/proc/version'));
});

onLinux('a file of /proc that is longer than one buffer is read to its end', async () => {
  await using handle = await open('/proc/kallsyms');
  const bytes = await readToEnd(descriptorOf(handle), 0, 'kallsyms');
  expect(bytes.length).toBeGreaterThan(64 * 1024);
  expect(bytes).toEqual(await readFile('/proc/kallsyms'));
});

it('a file without a size and without an end is refused', async () => {
  const endless = { read: async (_: Buffer, __: number, length: number) => length };
  const read = readToEnd(endless as unknown as Descriptor, 0, 'endless');
  await expect(read).rejects.toMatchObject({ reason: 'SOURCE_UNUSABLE' });
});

it.each([
  ['a FIFO', (path: string) => void execFileSync('mkfifo', [path])],
  ['a directory', (path: string) => void execFileSync('mkdir', [path])],
  ['a device', (path: string) => symlink('/dev/zero', path)],
  ['a symbolic link to a file that does not exist', (path: string) => symlink('nowhere', path)],
])('%s is refused at once, by name', async (kind, create) => {
  const path = join(fixture.directory, kind.slice(0, 10));
  await create(path);
  const error = await uploadFile(fixture.user(), path).catch((refusal: unknown) => refusal);
  expect(error).toBeInstanceOf(UploadError);
  expect(error).toMatchObject({ reason: 'SOURCE_UNUSABLE' });
  expect((error as Error).message).toContain(`${path} is ${kind}`);
});

it('a socket is refused at once', async () => {
  const path = join(fixture.directory, 'socket');
  const server = createServer().listen(path);
  await once(server, 'listening');
  const upload = uploadFile(fixture.user(), path);
  await expect(upload).rejects.toMatchObject({
    reason: 'SOURCE_UNUSABLE',
    message: `${path} is a socket, not a regular file`,
  });
  server.close();
});

it('a file that becomes a FIFO while it is opened does not hang', async () => {
  const [file, fifo, path] = ['file', 'fifo', 'either'].map((name) => join(fixture.directory, name)) as [
    string,
    string,
    string,
  ];
  await fixture.file('file', 10);
  execFileSync('mkfifo', [fifo]);
  await link(file, path);
  let isDone = false;
  const swapping = (async () => {
    for (let i = 0; !isDone; i++) {
      await link(i % 2 === 0 ? file : fifo, `${path}.next`);
      await rename(`${path}.next`, path);
      // `rename` does nothing if the old and the new name belong to the same file (hard links).
      await unlink(`${path}.next`).catch(() => {});
    }
  })();
  const outcomes = { opened: 0, refused: 0 };
  for (let i = 0; i < 1_500; i++) {
    const source = await findSource(path)
      .then((found) => found.open())
      .catch((error: UploadError) => error);
    if (source instanceof UploadError) outcomes.refused++;
    else {
      outcomes.opened++;
      await source.close();
    }
  }
  isDone = true;
  await swapping;
  expect(Math.min(outcomes.opened, outcomes.refused)).toBeGreaterThan(0);
}, 20_000);
