/**
 * `src/client/node` is the part of the client that only Node can run: it reads files, hashes them on worker
 * threads, and sends PUTs with `node:http`.
 *
 * The order of the steps does not belong here: `src/client/upload` has it. This file opens what the caller wants
 * to upload.
 */
import { type FileHandle, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { OpenSource } from '../upload/platform.ts';
import { type OpenOptions, openFile, openHandle } from './file-source.ts';
import { type Body, ofBlob, ofBytes } from './memory-source.ts';

/**
 * An upload source is a path, a `file:` URL, an open file, a Blob or File, or bytes. A stream is not accepted,
 * because a stream can be read only once. The bytes of a large source are read twice, for hashing and for
 * sending, and after a failure parts of them are read again.
 */
export type UploadSource = string | URL | FileHandle | Blob | Uint8Array;

/** The MD5 cache is for sources that are paths or URLs. The other sources are always hashed. */
export async function openSource(source: UploadSource, options: OpenOptions = {}): Promise<OpenSource<Body>> {
  if (source instanceof Uint8Array) return ofBytes(source);
  if (source instanceof Blob) return ofBlob(source);
  if (source instanceof URL) return openFile(fileURLToPath(source), options);
  return typeof source === 'string' ? openFile(source, options) : openHandle(source, options);
}

/** Returns the size as it is now. @throws Node's error for a path without a file */
export async function sizeOf(source: UploadSource): Promise<number> {
  if (source instanceof Uint8Array) return source.byteLength;
  if (source instanceof Blob) return source.size;
  const isPath = typeof source === 'string' || source instanceof URL;
  return (isPath ? await stat(source) : await source.stat()).size;
}
