import { createHash } from 'node:crypto';
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createGate } from '../../src/client/many/gate.ts';
import { md5sOnThreads } from '../../src/client/node/md5.ts';
import { findSource, type UploadSource } from '../../src/client/node/source.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';

const BYTES = Buffer.from('the first range, the second range');
const RANGES = [
  { start: 0, end: 17 },
  { start: 17, end: BYTES.length },
];
const MD5S = RANGES.map(({ start, end }) =>
  createHash('md5').update(BYTES.subarray(start, end)).digest('hex'),
);

/** Hashes a file on threads. Returns the MD5s, and the number of ranges that this thread had to read. */
async function hash(identity: { ino?: bigint } = {}) {
  await using directory = await temporaryDirectory();
  const path = join(directory.path, 'file');
  await writeFile(path, BYTES);
  await using handle = await open(path);
  const { dev, ino } = await handle.stat({ bigint: true });
  let readHere = 0;
  async function* read({ start, end }: { start: number; end: number }) {
    readHere++;
    yield BYTES.subarray(start, end);
  }
  const file = { fd: handle.fd, dev, ino, ...identity };
  const options = { signal: new AbortController().signal, onHashed: () => {} };
  const md5s = await md5sOnThreads(file, read, RANGES, options);
  return { md5s: md5s.map((md5) => Buffer.from(md5).toString('hex')), readHere };
}

it('threads hash the ranges of a file', async () => {
  expect(await hash()).toEqual({ md5s: MD5S, readHere: 0 });
});

it('this thread hashes the ranges when the descriptor is another file in a thread', async () => {
  expect(await hash({ ino: 1n })).toEqual({ md5s: MD5S, readHere: 2 });
});

it('this thread hashes one large source after the other, so that the first is sent while the second is hashed', async () => {
  await using directory = await temporaryDirectory();
  const hashing = createGate(1);
  const hashed: string[] = [];
  const bytes = Buffer.alloc(2 * 1024 ** 2);
  const path = join(directory.path, 'file');
  await writeFile(path, bytes);
  const hashSource = async ([name, given]: [string, UploadSource]) => {
    const source = await (await findSource(given, { hashing })).open();
    const range = { start: 0, end: source.sizeBytes };
    const signal = new AbortController().signal;
    await source.md5s([range], { signal, onHashed: () => void hashed.push(name) });
    await source.close();
  };
  const sources = {
    file: path,
    again: path,
    bytes,
    'other bytes': bytes,
    blob: new Blob([bytes]),
    'other blob': new Blob([bytes]),
  };
  await Promise.all(Object.entries(sources).map(hashSource));
  expect([...new Set(hashed)].sort()).toEqual(Object.keys(sources).sort());
  // A name that appears again after another name belongs to a source that was hashed beside the other.
  expect(hashed.filter((name, i) => name !== hashed[i - 1])).toHaveLength(Object.keys(sources).length);
});
