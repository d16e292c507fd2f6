/**
 * `src/client/node` is the part of the client that only Node can run: it reads files, hashes them on worker
 * threads, and sends PUTs with `node:http`.
 *
 * The order of the steps does not belong here: `src/client/upload` has it. This file finds what the caller wants
 * to upload.
 */
import type { FileHandle } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { FoundSource } from '../upload/platform.ts';
import { UploadError } from '../upload/upload-error.ts';
import { findFile, findHandle, type OpenOptions } from './file-source.ts';
import { type Body, ofBlob, ofBytes } from './memory-source.ts';

/**
 * An upload source is a path, a `file:` URL, an open file, a Blob or File, or bytes. A stream is not accepted,
 * because a stream can be read only once. The bytes of a large source are read twice, for hashing and for
 * sending, and after a failure parts of them are read again.
 */
export type UploadSource = string | URL | FileHandle | Blob | Uint8Array;

/** The MD5 cache is for sources that are paths or URLs. The other sources are always hashed. */
export async function findSource(
  source: UploadSource,
  options: OpenOptions = {},
): Promise<FoundSource<Body>> {
  const { hashing } = options;
  if (source instanceof Uint8Array) {
    return { sizeBytes: source.byteLength, open: async () => ofBytes(source, hashing) };
  }
  if (source instanceof Blob) return { sizeBytes: source.size, open: async () => ofBlob(source, hashing) };
  if (source instanceof URL) return findFile(fileURLToPath(source), options);
  if (typeof source === 'string') return findFile(source, options);
  if (isFileHandle(source)) return findHandle(source, options);
  throw new UploadError('SOURCE_UNUSABLE', NO_SOURCE);
}

const NO_SOURCE =
  'a source is a path, a file: URL, a FileHandle, a Blob or a Uint8Array: write a stream to a file, and wrap an ' +
  'ArrayBuffer in a Uint8Array';

/** A caller in JavaScript may pass any value. */
function isFileHandle(source: unknown): source is FileHandle {
  return typeof source === 'object' && source !== null && 'fd' in source && 'stat' in source;
}
