/**
 * Remembers the MD5s of files, so that a second run does not read files that have not changed. The service still
 * decides whether it has the content, and S3 still checks the bytes that are sent.
 */
import { randomBytes } from 'node:crypto';
import { rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makeDirectory } from './make-directory.ts';
import { readOwnFile } from './read-own-file.ts';

/**
 * The identity of a file and the state of its content, from `stat`. A write to the file changes at least one field,
 * unless it comes within 2 s of the last change (`SETTLED_AFTER_MS` in cached-source.ts).
 */
export interface FileVersion {
  path: string;
  sizeBytes: bigint;
  mtimeNs: bigint;
  ctimeNs: bigint;
  inode: bigint;
  device: bigint;
}

export interface Md5Cache {
  /** @param rangeBytes the size of the ranges that were hashed: of a part, or of the whole file */
  get(file: FileVersion, rangeBytes: number): Uint8Array[] | undefined;
  set(file: FileVersion, rangeBytes: number, md5s: readonly Uint8Array[]): void;
  delete(file: FileVersion): void;
}

export interface FileMd5Cache extends Md5Cache {
  /** Replaces the file of the cache. If another process saves too, the entries of one of them are lost. */
  save(): Promise<void>;
}

interface Entry {
  version: string;
  rangeBytes: number;
  /** The MD5s one after the other, in base64. */
  md5s: string;
}

/** The first line of the cache file. A cache file with another first line counts as empty. */
const HEADER = 'file-service-client md5s 1';

/**
 * The maximum size of the cache file. It holds the entries of about 250,000 files with one MD5 each. The entries that
 * were not used for the longest time are left out first.
 */
const TEXT_MAX_BYTES = 32 * 1024 ** 2;

const MD5_BYTES = 16;

/** Opens a cache in a file. A file that is missing, damaged, of another version or of another user counts as empty. */
export async function openMd5Cache(path: string): Promise<FileMd5Cache> {
  const entries = parseEntries((await readOwnFile(path, 2 * TEXT_MAX_BYTES)) ?? '');
  let isChanged = false;
  return {
    get(file, rangeBytes) {
      const entry = entries.get(file.path);
      if (entry?.version !== versionOf(file) || entry.rangeBytes !== rangeBytes) return undefined;
      // The order of the entries is the order of their last use.
      entries.delete(file.path);
      entries.set(file.path, entry);
      const bytes = Buffer.from(entry.md5s, 'base64');
      return Array.from({ length: bytes.length / MD5_BYTES }, (_, i) =>
        bytes.subarray(i * MD5_BYTES, (i + 1) * MD5_BYTES),
      );
    },
    set(file, rangeBytes, md5s) {
      isChanged = true;
      entries.delete(file.path);
      const text = Buffer.concat(md5s).toString('base64');
      entries.set(file.path, { version: versionOf(file), rangeBytes, md5s: text });
    },
    delete(file) {
      isChanged = entries.delete(file.path) || isChanged;
    },
    async save() {
      if (!isChanged) return;
      isChanged = false;
      await replaceFile(path, textOf(entries));
    },
  };
}

function versionOf({ sizeBytes, mtimeNs, ctimeNs, inode, device }: FileVersion): string {
  return [sizeBytes, mtimeNs, ctimeNs, inode, device].join(' ');
}

function parseEntries(text: string): Map<string, Entry> {
  const [header, ...lines] = text.split('\n');
  if (header !== HEADER) return new Map();
  try {
    return new Map(
      lines.filter(Boolean).map((line) => {
        const [path, version, rangeBytes, md5s] = JSON.parse(line) as [string, string, number, string];
        if (typeof md5s !== 'string') throw new TypeError('the MD5s are no text');
        return [path, { version, rangeBytes, md5s }];
      }),
    );
  } catch {
    return new Map();
  }
}

function textOf(entries: ReadonlyMap<string, Entry>): string {
  const lines: string[] = [];
  let bytes = 0;
  for (const [path, { version, rangeBytes, md5s }] of [...entries].reverse()) {
    const line = JSON.stringify([path, version, rangeBytes, md5s]);
    bytes += Buffer.byteLength(line) + 1;
    if (bytes > TEXT_MAX_BYTES) break;
    lines.push(line);
  }
  return `${[HEADER, ...lines.reverse()].join('\n')}\n`;
}

/** A reader sees either the old file or the new one, also after a crash of this process. */
async function replaceFile(path: string, text: string): Promise<void> {
  const next = `${path}.${randomBytes(6).toString('hex')}`;
  // The cache contains the paths of the user's files, so other users may not read it.
  await makeDirectory(dirname(path), 0o700);
  try {
    // The file is not flushed, because the command would wait for the disk. A file that a crash of the machine damaged
    // counts as empty.
    await writeFile(next, text, { mode: 0o600 });
    await rename(next, path);
  } catch (error) {
    await rm(next, { force: true });
    throw error;
  }
}
