/**
 * `src/client/node` is what the client does in its own way in Node: it reads files, hashes them on worker
 * threads, and sends PUTs with `node:http`.
 *
 * The order of the steps does not belong here: `src/client/upload` has it. This file opens the bytes that are to
 * be uploaded, and detects that they changed after they were hashed.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { OpenSource, Range } from '../upload/platform.ts';
import { UploadError } from '../upload/upload-error.ts';
import { md5sInPlace, md5sOnThreads } from './md5.ts';

/**
 * An upload source is a path, a `file:` URL, an open file, a Blob or File, or bytes. A stream is not accepted,
 * because a stream can be read only once. The bytes are read twice, for hashing and for sending, and after a
 * failure parts of them are read again.
 */
export type UploadSource = string | URL | FileHandle | Blob | Uint8Array;

/**
 * How many bytes one read requests: so many that the cost of the calls is small, and so few that they fit into
 * the cache of a CPU core.
 */
const PIECE_BYTES = 256 * 1024;

type Pieces = AsyncIterable<Uint8Array>;

export async function openSource(source: UploadSource): Promise<OpenSource<Pieces>> {
  if (source instanceof Uint8Array) return ofBytes(source);
  if (source instanceof Blob) return ofBlob(source);
  if (typeof source === 'object' && !(source instanceof URL))
    return ofFile(source, undefined, async () => {});
  const path = source instanceof URL ? fileURLToPath(source) : source;
  const handle = await open(path);
  try {
    return await ofFile(handle, basename(path), () => handle.close());
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** @param close closes the file; it does nothing for a file that the caller opened, which stays open */
async function ofFile(
  handle: FileHandle,
  filename: string | undefined,
  close: () => Promise<void>,
): Promise<OpenSource<Pieces>> {
  const before = await handle.stat({ bigint: true });
  if (!before.isFile())
    throw new UploadError('SOURCE_UNUSABLE', `${filename ?? 'the open file'} is not a regular file`);
  async function* read({ start, end }: Range) {
    for (let position = start; position < end; ) {
      const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, end - position));
      const { bytesRead } = await handle.read(piece, 0, piece.length, position);
      if (bytesRead === 0) throw changed();
      yield piece.subarray(0, bytesRead);
      position += bytesRead;
    }
  }
  return {
    sizeBytes: Number(before.size),
    filename,
    mimeType: undefined,
    body: read,
    async md5s(ranges, options) {
      // Several threads cannot share one range, and a thread starts more slowly than a small file is hashed.
      if (ranges.length === 1) return md5sInPlace(read, ranges, options);
      return md5sOnThreads(handle.fd, ranges, options);
    },
    async assertUnchanged() {
      const { size, mtimeNs } = await handle.stat({ bigint: true });
      if (size !== before.size || mtimeNs !== before.mtimeNs) throw changed();
    },
    close,
  };
}

function ofBlob(blob: Blob): OpenSource<Pieces> {
  async function* read({ start, end }: Range) {
    try {
      yield* blob.slice(start, end).stream();
    } catch (error) {
      // A Blob of `fs.openAsBlob` throws this error when its file has changed.
      throw (error as Error).name === 'NotReadableError' ? changed() : error;
    }
  }
  return {
    sizeBytes: blob.size,
    filename: 'name' in blob && typeof blob.name === 'string' ? blob.name : undefined,
    mimeType: blob.type || undefined,
    body: read,
    md5s: (ranges, options) => md5sInPlace(read, ranges, options),
    // `read` throws for a changed Blob, so there is nothing to check here.
    assertUnchanged: async () => {},
    close: async () => {},
  };
}

function ofBytes(bytes: Uint8Array): OpenSource<Pieces> {
  async function* read({ start, end }: Range) {
    for (let position = start; position < end; position += PIECE_BYTES) {
      yield bytes.subarray(position, Math.min(position + PIECE_BYTES, end));
    }
  }
  return {
    sizeBytes: bytes.byteLength,
    filename: undefined,
    mimeType: undefined,
    body: read,
    md5s: (ranges, options) => md5sInPlace(read, ranges, options),
    // A change of the bytes in memory cannot be detected here. S3 detects it, because the bytes then do not
    // match the announced MD5.
    assertUnchanged: async () => {},
    close: async () => {},
  };
}

function changed(): UploadError {
  return new UploadError('SOURCE_CHANGED', 'the file changed while it was being uploaded');
}
