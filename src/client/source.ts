import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UploadError } from './upload-error.ts';

/**
 * What can be uploaded: a path or a `file:` URL, an open file, a Blob or File, or bytes. No stream: the bytes are read
 * twice, to be hashed and then to be sent, and parts of them again after a failure.
 */
export type UploadSource = string | URL | FileHandle | Blob | Uint8Array;

export interface OpenSource extends AsyncDisposable {
  readonly sizeBytes: number;
  /** What it calls itself, if it does. */
  readonly filename: string | undefined;
  readonly mimeType: string | undefined;
  /** Of a file: threads can read it by this. */
  readonly fd: number | undefined;
  /** `end` is exclusive. */
  read(start: number, end: number): AsyncIterable<Uint8Array>;
  /** @throws UploadError SOURCE_CHANGED */
  assertUnchanged(): Promise<void>;
}

/** What is read at once: large enough that the calls do not count, small enough to stay in a core's cache. */
const PIECE_BYTES = 256 * 1024;

export async function openSource(source: UploadSource): Promise<OpenSource> {
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

/** A file that the caller opened stays open. */
async function ofFile(
  handle: FileHandle,
  filename: string | undefined,
  close: () => Promise<void>,
): Promise<OpenSource> {
  const before = await handle.stat({ bigint: true });
  if (!before.isFile()) throw new UploadError('SOURCE_UNUSABLE', `${filename ?? 'it'} is not a regular file`);
  return {
    sizeBytes: Number(before.size),
    filename,
    mimeType: undefined,
    fd: handle.fd,
    async *read(start, end) {
      for (let position = start; position < end; ) {
        const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, end - position));
        const { bytesRead } = await handle.read(piece, 0, piece.length, position);
        if (bytesRead === 0) throw changed();
        yield piece.subarray(0, bytesRead);
        position += bytesRead;
      }
    },
    async assertUnchanged() {
      const { size, mtimeNs } = await handle.stat({ bigint: true });
      if (size !== before.size || mtimeNs !== before.mtimeNs) throw changed();
    },
    [Symbol.asyncDispose]: close,
  };
}

function ofBlob(blob: Blob): OpenSource {
  return {
    sizeBytes: blob.size,
    filename: 'name' in blob && typeof blob.name === 'string' ? blob.name : undefined,
    mimeType: blob.type || undefined,
    fd: undefined,
    async *read(start, end) {
      try {
        yield* blob.slice(start, end).stream();
      } catch (error) {
        // What a Blob of `fs.openAsBlob` throws when its file is another by now.
        throw (error as Error).name === 'NotReadableError' ? changed() : error;
      }
    },
    // A Blob watches over itself.
    assertUnchanged: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
}

function ofBytes(bytes: Uint8Array): OpenSource {
  return {
    sizeBytes: bytes.byteLength,
    filename: undefined,
    mimeType: undefined,
    fd: undefined,
    async *read(start, end) {
      for (let position = start; position < end; position += PIECE_BYTES) {
        yield bytes.subarray(position, Math.min(position + PIECE_BYTES, end));
      }
    },
    // That they change can only be seen by what S3 says to them.
    assertUnchanged: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
}

function changed(): UploadError {
  return new UploadError('SOURCE_CHANGED', 'the file changed while it was being uploaded');
}
