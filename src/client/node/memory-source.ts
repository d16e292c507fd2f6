/** Sources that the caller has in memory. */
import type { Gate } from '../many/gate.ts';
import type { OpenSource, Range } from '../upload/platform.ts';
import { UploadError } from '../upload/upload-error.ts';
import { md5sInPlace } from './md5.ts';

/**
 * The bytes of a range, in pieces. A piece is valid until the next one is read: the pieces of a file share one buffer,
 * because each new buffer costs the garbage collector and the kernel more time than its bytes take to send.
 */
export type Pieces = AsyncIterable<Uint8Array>;

/** The body of a PUT: pieces, or all of its bytes. */
export type Body = Pieces | Uint8Array;

/** The event loop runs other work after each piece, and hashing a piece takes less than a millisecond. */
const PIECE_BYTES = 256 * 1024;

export function ofBytes(bytes: Uint8Array, hashing?: Gate): OpenSource<Body> {
  async function* read({ start, end }: Range) {
    for (let position = start; position < end; position += PIECE_BYTES) {
      yield bytes.subarray(position, Math.min(position + PIECE_BYTES, end));
    }
  }
  return {
    sizeBytes: bytes.byteLength,
    filename: undefined,
    mimeType: undefined,
    body: (range) =>
      range.end - range.start > PIECE_BYTES ? read(range) : bytes.subarray(range.start, range.end),
    md5s: (ranges, options) => md5sInPlace(read, ranges, options, hashing),
    // A change of the bytes in memory cannot be detected here. S3 detects it, because the bytes then do not
    // match the announced MD5.
    assertUnchanged: async () => {},
    close: async () => {},
  };
}

export function ofBlob(blob: Blob, hashing?: Gate): OpenSource<Body> {
  async function* read({ start, end }: Range) {
    try {
      yield* blob.slice(start, end).stream();
    } catch (error) {
      // A Blob of `fs.openAsBlob` throws this error when its file has changed.
      throw (error as Error).name === 'NotReadableError' ? changedSource() : error;
    }
  }
  return {
    sizeBytes: blob.size,
    filename: 'name' in blob && typeof blob.name === 'string' ? blob.name : undefined,
    mimeType: blob.type || undefined,
    body: read,
    md5s: (ranges, options) => md5sInPlace(read, ranges, options, hashing),
    // `read` throws for a changed Blob, so there is nothing to check here.
    assertUnchanged: async () => {},
    close: async () => {},
  };
}

export function changedSource(): UploadError {
  return new UploadError('SOURCE_CHANGED', 'the file changed while it was being uploaded');
}
