import { execFile, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmod,
  chown,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { FileVersion, Md5Cache } from '../../src/client/node/md5-cache.ts';
import { findSource } from '../../src/client/node/source.ts';
import { openMd5Cache, uploadFile, uploadMany } from '../../src/client/node.ts';
import { forAllTests } from '../harness/for-all-tests.ts';
import { downloaded, openFixture, PART_BYTES } from './fixture.ts';

const fixture = forAllTests(() => openFixture());

/** A cache in memory that ignores the times of a file, and counts its hits and deletes. */
function trustingCache() {
  const entries = new Map<string, Uint8Array[]>();
  const keyOf = ({ path, sizeBytes }: FileVersion, rangeBytes: number) =>
    `${path} ${sizeBytes} ${rangeBytes}`;
  const seen = { hits: 0, deletes: 0 };
  const cache: Md5Cache = {
    get(file, rangeBytes) {
      const md5s = entries.get(keyOf(file, rangeBytes));
      if (md5s !== undefined) seen.hits++;
      return md5s;
    },
    set: (file, rangeBytes, md5s) => void entries.set(keyOf(file, rangeBytes), [...md5s]),
    delete() {
      seen.deletes++;
      entries.clear();
    },
  };
  return { cache, seen, entries };
}

/** Writes a file and sets its modification time to a minute ago. Its ctime is the present time. */
async function settledFile(name: string, bytes: number): Promise<string> {
  const path = await fixture.file(name, bytes);
  const minuteAgo = Date.now() / 1_000 - 60;
  await utimes(path, minuteAgo, minuteAgo);
  return path;
}

const md5sOf = async (path: string, cache: Md5Cache) => {
  const source = await (await findSource(path, { md5Cache: cache })).open();
  try {
    const hashed: number[] = [];
    const ranges = [{ start: 0, end: source.sizeBytes }];
    const options = {
      signal: new AbortController().signal,
      onHashed: (bytes: number) => void hashed.push(bytes),
    };
    return { md5s: await source.md5s(ranges, options), hashed };
  } finally {
    await source.close();
  }
};

const A_VERSION: FileVersion = {
  path: '/a',
  sizeBytes: 3n,
  mtimeNs: 1n,
  ctimeNs: 2n,
  inode: 4n,
  device: 5n,
};
const AN_MD5 = new Uint8Array(16).fill(7);

describe('the cache of MD5s in a file', () => {
  it('keeps what was set, in a file that only its owner can read', async () => {
    const path = join(fixture.directory, 'new/folder/md5s');
    const first = await openMd5Cache(path);
    first.set(A_VERSION, 3, [AN_MD5]);
    first.set({ ...A_VERSION, path: 'a\n"b"' }, 2, [AN_MD5, AN_MD5]);
    await first.save();
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(join(path, '..'))).toEqual(['md5s']);
    const second = await openMd5Cache(path);
    expect(second.get(A_VERSION, 3)?.map((md5) => [...md5])).toEqual([[...AN_MD5]]);
    expect(second.get({ ...A_VERSION, path: 'a\n"b"' }, 2)).toHaveLength(2);
    second.delete(A_VERSION);
    await second.save();
    expect((await openMd5Cache(path)).get(A_VERSION, 3)).toBeUndefined();
  });

  it.each(['sizeBytes', 'mtimeNs', 'ctimeNs', 'inode', 'device'] as const)(
    'does not know a file with another %s',
    async (field) => {
      const cache = await openMd5Cache(join(fixture.directory, 'none'));
      cache.set(A_VERSION, 3, [AN_MD5]);
      expect(cache.get({ ...A_VERSION, [field]: 9n }, 3)).toBeUndefined();
      expect(cache.get(A_VERSION, 2)).toBeUndefined();
      expect(cache.get(A_VERSION, 3)).toHaveLength(1);
    },
  );

  it.each([
    ['cut', (text: string) => text.slice(0, -20)],
    ['of another version', (text: string) => text.replace('md5s 1', 'md5s 2')],
    ['binary', () => randomBytes(1_000).toString('latin1')],
    ['empty', () => ''],
    ['without a text', (text: string) => text.replace(/"[^"]*"\]/, '7]')],
  ])('counts as empty when its file is %s, and can be saved again', async (kind, damage) => {
    const path = join(fixture.directory, `damaged-${kind}`);
    const cache = await openMd5Cache(path);
    cache.set(A_VERSION, 3, [AN_MD5]);
    await cache.save();
    await writeFile(path, damage(await readFile(path, 'utf8')));
    const damaged = await openMd5Cache(path);
    expect(damaged.get(A_VERSION, 3)).toBeUndefined();
    damaged.set(A_VERSION, 3, [AN_MD5]);
    await damaged.save();
    expect((await openMd5Cache(path)).get(A_VERSION, 3)).toHaveLength(1);
  });

  it.each([
    ['writable by its group', (path: string) => chmod(path, 0o620)],
    ['writable by every user', (path: string) => chmod(path, 0o602)],
    ['of 65 MiB', (path: string) => truncate(path, 65 * 1024 ** 2)],
    ['a FIFO', (path: string) => rm(path).then(() => promisify(execFile)('mkfifo', [path]))],
    // Only root can give a file to another user.
    ...(process.geteuid?.() === 0
      ? [['of another user', (path: string) => chown(path, 12_345, 0)] as const]
      : []),
  ] as const)('counts as empty when its file is %s', async (kind, change) => {
    const path = join(fixture.directory, `not-own ${kind}`);
    const cache = await openMd5Cache(path);
    cache.set(A_VERSION, 3, [AN_MD5]);
    await cache.save();
    expect((await openMd5Cache(path)).get(A_VERSION, 3)).toHaveLength(1);
    await change(path);
    expect((await openMd5Cache(path)).get(A_VERSION, 3)).toBeUndefined();
  });

  // In a process of its own: a call that never returned would also stop the test runner. Only Linux has /proc.
  it.runIf(process.platform === 'linux')('fails to save where no folder can be created', () => {
    const module = join(import.meta.dirname, '../../src/client/node/md5-cache.ts');
    const script = `
      import { openMd5Cache } from ${JSON.stringify(module)};
      const cache = await openMd5Cache('/proc/none/file-service/md5s');
      cache.set({ path: '/a' }, 3, [new Uint8Array(16)]);
      await cache.save().catch(({ code }) => console.log(code));`;
    const { stdout, signal } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      timeout: 10_000,
      killSignal: 'SIGKILL',
      encoding: 'utf8',
    });
    expect({ stdout, signal }).toEqual({ stdout: 'ENOENT\n', signal: null });
  });

  it('is saved by two processes at once in a folder that does not exist yet', async () => {
    const path = join(fixture.directory, 'by-two/of/us/md5s');
    const caches = await Promise.all([openMd5Cache(path), openMd5Cache(path)]);
    for (const cache of caches) cache.set(A_VERSION, 3, [AN_MD5]);
    await Promise.all(caches.map((cache) => cache.save()));
    expect((await openMd5Cache(path)).get(A_VERSION, 3)).toHaveLength(1);
  });

  it('stays within 32 MiB, and forgets the files that were not used for the longest time', async () => {
    const path = join(fixture.directory, 'large');
    const cache = await openMd5Cache(path);
    const parts = Array.from({ length: 10_000 }, () => AN_MD5);
    const version = (i: number) => ({ ...A_VERSION, path: `/${i}` });
    for (let i = 0; i < 200; i++) cache.set(version(i), 3, parts);
    expect(cache.get(version(0), 3)).toHaveLength(10_000);
    await cache.save();
    expect((await stat(path)).size).toBeLessThanOrEqual(32 * 1024 ** 2);
    const again = await openMd5Cache(path);
    expect(again.get(version(1), 3)).toBeUndefined();
    expect(again.get(version(0), 3)).toHaveLength(10_000);
    expect(again.get(version(199), 3)).toHaveLength(10_000);
  });
});

describe('a source with a cache', () => {
  it('is not hashed again when the file has not changed', async () => {
    const { cache, seen } = trustingCache();
    const path = await settledFile('unchanged', 1_000);
    cache.set({ ...A_VERSION, path, sizeBytes: 1_000n }, 1_000, [AN_MD5]);
    // `md5s` returns the wrong MD5 of the cache, so it did not read the file.
    expect((await md5sOf(path, cache)).md5s).toEqual([AN_MD5]);
    expect(seen.hits).toBeGreaterThan(0);
  });

  it('keeps no MD5 of a file that was written to in the last two seconds', async () => {
    const { cache, entries } = trustingCache();
    await md5sOf(await fixture.file('fresh', 1_000), cache);
    expect(entries.size).toBe(0);
  });

  // Only Linux has such files.
  it
    .runIf(process.platform === 'linux')
    .each(['/proc/version', '/sys/kernel/mm/transparent_hugepage/enabled'])(
    'keeps no MD5 of %s, whose content changes without its times',
    async (path) => {
      const { cache, entries } = trustingCache();
      await md5sOf(path, cache);
      expect(entries.size).toBe(0);
    },
  );
});

describe('an upload with a cache', () => {
  it.each([
    ['one PUT', 300_000, {}],
    ['one streamed PUT', 1_500_000, {}],
    ['a multipart upload', 2 * PART_BYTES, { multipartFromBytes: PART_BYTES }],
  ])('by %s hashes the file anew when S3 says that the MD5 was wrong', async (name, bytes, options) => {
    const files = fixture.user();
    const { cache, seen } = trustingCache();
    const path = await settledFile(`stale-${name}`, bytes);
    const rangeBytes = name === 'a multipart upload' ? PART_BYTES : bytes;
    const wrong = Array.from({ length: bytes / rangeBytes }, () => AN_MD5);
    cache.set({ ...A_VERSION, path, sizeBytes: BigInt(bytes) }, rangeBytes, wrong);
    // The service has another part size than the one with which clients begin. Its error names the part size.
    const { file, existing } = await uploadFile(files, path, { ...options, md5Cache: cache });
    expect(existing).toBe(false);
    expect(seen.hits).toBeGreaterThan(0);
    expect(seen.deletes).toBe(1);
    expect(await downloaded(files, file.s3Key)).toEqual(await readFile(path));
  });

  it('asks the service again in a second run, which reads no file', async () => {
    const cachePath = join(fixture.directory, 'second-run');
    const items = await Promise.all([settledFile('second-1', 20_000), settledFile('second-2', 1_500_000)]);
    const sources = items.map((source) => ({ source }));
    const files = fixture.user();
    // Setting the times changes the ctime. The cache keeps no MD5 of a file that changed less than 2 s ago.
    await new Promise((resolve) => setTimeout(resolve, 2_100));
    const first = await openMd5Cache(cachePath);
    expect(await uploadMany(files, sources, { md5Cache: first })).toMatchObject({ uploaded: 2 });
    await first.save();
    const md5Cache = await openMd5Cache(cachePath);
    const before = fixture.proxy.taken.length;
    expect(await uploadMany(files, sources, { md5Cache })).toMatchObject({ existing: 2, failed: 0 });
    expect(fixture.proxy.taken).toHaveLength(before);
    // Another user does not have the files yet, so the client reads and sends them.
    expect(await uploadMany(fixture.user(), sources, { md5Cache })).toMatchObject({ uploaded: 2, failed: 0 });
    // A file that is replaced by another of the same size and time is another file.
    const [path = ''] = items;
    const { mtime } = await stat(path);
    await writeFile(`${path}.new`, randomBytes(20_000));
    await utimes(`${path}.new`, mtime, mtime);
    await rename(`${path}.new`, path);
    expect(await uploadMany(files, [{ source: path }], { md5Cache })).toMatchObject({ uploaded: 1 });
    await truncate(path, 100);
    expect(await uploadMany(files, [{ source: path }], { md5Cache })).toMatchObject({ uploaded: 1 });
  });
});
