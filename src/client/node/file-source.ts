/** Opens a file that is to be uploaded, and detects that it changed after it was hashed. */
import { type BigIntStats, constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import type { Gate } from '../many/gate.ts';
import type { FoundSource, OpenSource, Range } from '../upload/platform.ts';
import { UploadError } from '../upload/upload-error.ts';
import { isKnown, withMd5Cache } from './cached-source.ts';
import { type Descriptor, descriptorOf, openDescriptor } from './descriptor.ts';
import { md5sInPlace, md5sOnThreads } from './md5.ts';
import type { FileVersion, Md5Cache } from './md5-cache.ts';
import { type Body, changedSource, ofBytes } from './memory-source.ts';
import { readToEnd } from './read-to-end.ts';

/** A file of this size or less is read only once, not twice: its bytes stay in memory until they are sent. */
const READ_ONCE_MAX_BYTES = 1024 ** 2;

/**
 * How many bytes one read requests: so many that the cost of the calls is small, and so few that they fit into
 * the cache of a CPU core.
 */
const PIECE_BYTES = 256 * 1024;

/**
 * Between `stat` and `open`, a FIFO or a terminal can take the place of the file. Without O_NONBLOCK, opening a FIFO
 * would wait for its writer, and nothing but the end of the process would end that wait. With O_NOCTTY, a terminal does
 * not become the controlling terminal of this process. Windows has no such flags.
 */
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0);

export interface OpenOptions {
  md5Cache?: Md5Cache | undefined;
  /** Lets this thread hash one source at a time (`md5sInPlace`). */
  hashing?: Gate | undefined;
}

interface OpenFile {
  descriptor: Descriptor;
  stats: BigIntStats;
  /** Names the file in errors. */
  label: string;
  filename: string | undefined;
  hashing: Gate | undefined;
}

/** @throws UploadError SOURCE_UNUSABLE, or Node's error for a path without a file */
export async function findFile(path: string, options: OpenOptions): Promise<FoundSource<Body>> {
  const stats = await statOf(path);
  // This check comes before the file is opened, because opening some devices already has an effect.
  assertRegular(stats, path);
  return { sizeBytes: stats.size, open: () => openFile(path, options) };
}

/** @throws UploadError SOURCE_UNUSABLE, or Node's error for a path that cannot be opened */
async function openFile(path: string, { md5Cache, hashing }: OpenOptions): Promise<OpenSource<Body>> {
  const descriptor = await openDescriptor(path, OPEN_FLAGS);
  try {
    const stats = descriptor.stat();
    assertRegular(stats, path);
    const file = { descriptor, stats, label: path, filename: basename(path), hashing };
    if (md5Cache === undefined) return await ofFile(file);
    const version = versionOf(resolve(path), stats);
    const source = isKnown(md5Cache, version) ? streamed(file) : await ofFile(file);
    return withMd5Cache(source, md5Cache, version);
  } catch (error) {
    descriptor.close();
    throw error;
  }
}

export async function findHandle(handle: FileHandle, options: OpenOptions): Promise<FoundSource<Body>> {
  const { size } = await handle.stat();
  return { sizeBytes: size, open: () => openHandle(handle, options) };
}

/** The file stays open when the source is closed, because the caller opened it. */
async function openHandle(handle: FileHandle, { hashing }: OpenOptions): Promise<OpenSource<Body>> {
  const descriptor = descriptorOf(handle);
  const stats = descriptor.stat();
  assertRegular(stats, 'the open file');
  return ofFile({ descriptor, stats, label: 'the open file', filename: undefined, hashing });
}

function versionOf(path: string, { size, mtimeNs, ctimeNs, ino, dev }: BigIntStats): FileVersion {
  return { path, sizeBytes: size, mtimeNs, ctimeNs, inode: ino, device: dev };
}

async function ofFile(file: OpenFile): Promise<OpenSource<Body>> {
  return file.stats.size <= READ_ONCE_MAX_BYTES ? readOnce(file) : streamed(file);
}

async function readOnce({ descriptor, stats, label, filename }: OpenFile): Promise<OpenSource<Body>> {
  const bytes = await readToEnd(descriptor, Number(stats.size), label);
  assertUnchanged(descriptor, stats);
  descriptor.close();
  return { ...ofBytes(bytes), filename };
}

function streamed({ descriptor, stats, filename, hashing }: OpenFile): OpenSource<Body> {
  async function* read({ start, end }: Range) {
    const buffer = Buffer.allocUnsafe(Math.min(PIECE_BYTES, end - start));
    for (let position = start; position < end; ) {
      const length = Math.min(buffer.length, end - position);
      const bytesRead = await descriptor.read(buffer, 0, length, position);
      if (bytesRead === 0) throw changedSource();
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }
  return {
    sizeBytes: Number(stats.size),
    filename,
    mimeType: undefined,
    body: read,
    async md5s(ranges, options) {
      // Several threads cannot share one range, and a thread starts more slowly than a small file is hashed.
      if (ranges.length > 1) {
        return md5sOnThreads({ fd: descriptor.fd, dev: stats.dev, ino: stats.ino }, read, ranges, options);
      }
      return md5sInPlace(read, ranges, options, hashing);
    },
    assertUnchanged: async () => assertUnchanged(descriptor, stats),
    close: async () => descriptor.close(),
  };
}

function assertUnchanged(descriptor: Descriptor, before: BigIntStats): void {
  const { size, mtimeNs } = descriptor.stat();
  if (size !== before.size || mtimeNs !== before.mtimeNs) throw changedSource();
}

async function statOf(path: string): Promise<Stats> {
  try {
    return await stat(path);
  } catch (error) {
    const isLink = await lstat(path).then(
      (link) => link.isSymbolicLink(),
      () => false,
    );
    if (!isLink || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw unusable(`${path} is a symbolic link to a file that does not exist`, error);
  }
}

/** What both forms of the result of `stat` can tell. */
type Kind = Pick<
  Stats,
  'isFile' | 'isDirectory' | 'isFIFO' | 'isSocket' | 'isCharacterDevice' | 'isBlockDevice'
>;

function assertRegular(stats: Kind, label: string): void {
  if (!stats.isFile()) throw unusable(`${label} is ${kindOf(stats)}, not a regular file`);
}

function kindOf(stats: Kind): string {
  if (stats.isDirectory()) return 'a directory';
  if (stats.isFIFO()) return 'a FIFO';
  if (stats.isSocket()) return 'a socket';
  return stats.isCharacterDevice() || stats.isBlockDevice() ? 'a device' : 'something else';
}

function unusable(message: string, cause?: unknown): UploadError {
  return new UploadError('SOURCE_UNUSABLE', message, { cause });
}
