import type { Readable } from 'node:stream';
import { callError, messageTooLarge } from '../errors.ts';
import { noteReceived } from '../memory/unused-buffers.ts';

/**
 * The number of pieces that each request may have, in addition to one piece per PIECE_MIN_BYTES of its bytes.
 * A piece is a DATA frame (HTTP/2) or a chunk (HTTP/1.1). If Node reads a frame or a chunk in several reads,
 * each read makes a piece.
 */
const SMALL_PIECES_MAX = 64;

/**
 * If a request has many pieces, their average size must be at least about this. The bound is low: the
 * smallest TCP segments that occur in practice have 536 bytes.
 */
const PIECE_MIN_BYTES = 64;

/**
 * Checks the bytes of a request as they arrive. Node calls JavaScript for each piece, so a request that is sent byte
 * by byte costs as much as thousands of requests.
 *
 * @param messageMaxBytes the limit that the error names; a body is longer than its message by a prefix
 * @returns a function that must be called with each piece. It throws ConnectError RESOURCE_EXHAUSTED when the request
 *   has more than `maxBytes` bytes, or too many small pieces.
 */
export function checkArrival(maxBytes: number, messageMaxBytes = maxBytes): (piece: Uint8Array) => void {
  let bytes = 0;
  let pieces = 0;
  return ({ length }) => {
    bytes += length;
    if (bytes > maxBytes) throw messageTooLarge(messageMaxBytes);
    if (++pieces > SMALL_PIECES_MAX + bytes / PIECE_MIN_BYTES) {
      throw callError('MESSAGE_TOO_LARGE', 'the request arrives in too many small pieces');
    }
  };
}

/**
 * Reads and drops the rest of a request that needs no further bytes. If the rest arrives in too many small pieces, the
 * request is destroyed, over HTTP/1.1 with its connection. Over HTTP/1.1, Node would drop the rest by itself, but for
 * 5 s in pieces of any size, and would not call `noteReceived`.
 */
export function dropRest(request: Readable): void {
  const arrives = checkArrival(Number.POSITIVE_INFINITY);
  request.on('data', (piece: Buffer) => {
    noteReceived(piece);
    try {
      arrives(piece);
    } catch {
      request.destroy();
    }
  });
}

/**
 * Gathers the pieces of a request in one buffer. The pieces themselves must not be kept. Each piece is a slice of the
 * buffer of one read from its connection, and keeps this whole buffer, up to 64 KiB, in memory. So 1,000 requests of
 * one byte each held 71 MB, and a second byte of each request held as much again.
 */
export class GatheredBytes {
  #buffer: Buffer = Buffer.alloc(0);
  #length = 0;

  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  add(piece: Uint8Array): void {
    const length = this.#length + piece.length;
    if (length > this.#buffer.length) {
      // Most requests have one piece, so the first buffer has no room for more. Later buffers double their size.
      const larger = Buffer.allocUnsafe(this.#length === 0 ? length : 2 * length);
      larger.set(this.bytes);
      this.#buffer = larger;
    }
    this.#buffer.set(piece, this.#length);
    this.#length = length;
  }
}
