import { IncomingMessage } from 'node:http';
import { callError, messageTooLarge } from '../errors.ts';

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
 * The number of small chunks that an HTTP/1.1 request may have before its connection is closed. It is larger than
 * SMALL_PIECES_MAX, so that a request whose chunks arrive in several reads gets its refusal.
 */
const SMALL_CHUNKS_MAX = 1_000;

/**
 * Closes the connection of an HTTP/1.1 request that arrives in too many small chunks, even if the request is already
 * answered. Without this limit, Node reads and drops the rest of an answered request for 5 s, and calls JavaScript for
 * each chunk: 50 such connections without proof blocked the event loop for 180 ms at a time, and now for 15 ms.
 *
 * Must be called when Node emits the request, because Node then calls `push` for each chunk of the same read. A listener
 * for `data` would be called later, when all chunks of a read are in the queue.
 */
export function limitChunks(request: IncomingMessage): void {
  if (request.httpVersionMajor !== 1 || request.headers['transfer-encoding'] === undefined) return;
  let bytes = 0;
  let chunks = 0;
  request.push = (chunk: Buffer | null) => {
    bytes += chunk?.length ?? 0;
    if (++chunks <= SMALL_CHUNKS_MAX + bytes / PIECE_MIN_BYTES)
      return IncomingMessage.prototype.push.call(request, chunk);
    request.socket.destroy();
    return false;
  };
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
