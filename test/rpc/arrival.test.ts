import { Code, ConnectError } from '@connectrpc/connect';
import { describe, expect, it } from 'vitest';
import { checkArrival, GatheredBytes } from '../../src/rpc/limits/arrival.ts';
import { LARGEST_MESSAGE_BYTES } from '../../src/rpc/limits/message-limits.ts';

/** The size of one read of Node from a connection. */
const READ_BYTES = 64 * 1024;

/** @returns how many pieces of this size arrive before the check refuses one; `all` if it refuses none */
function accepted(pieceBytes: number, totalBytes: number): number | 'all' {
  const arrives = checkArrival(totalBytes);
  for (let pieces = 0; pieces * pieceBytes < totalBytes; pieces++) {
    try {
      arrives(Buffer.alloc(Math.min(pieceBytes, totalBytes - pieces * pieceBytes)));
    } catch (error) {
      expect((error as ConnectError).code).toBe(Code.ResourceExhausted);
      return pieces;
    }
  }
  return 'all';
}

describe('a request', () => {
  it('may arrive in the pieces in which networks and libraries send it', () => {
    for (const pieceBytes of [100, 536, 1_400, 4_096, 16_384])
      expect(accepted(pieceBytes, LARGEST_MESSAGE_BYTES.json), `${pieceBytes}`).toBe('all');
    expect(accepted(1, 64)).toBe('all');
  });

  it('is refused after 65 pieces of one byte', () => {
    expect(accepted(1, LARGEST_MESSAGE_BYTES.binary)).toBe(65);
  });

  it('is refused when it has more bytes than allowed', () => {
    const arrives = checkArrival(10);
    arrives(Buffer.alloc(10));
    expect(() => arrives(Buffer.alloc(1))).toThrow(ConnectError);
  });
});

describe('gathered bytes', () => {
  it('are all bytes in their order', () => {
    const text = 'a request in pieces of every size';
    const gathered = new GatheredBytes();
    expect(gathered.bytes).toHaveLength(0);
    for (let at = 0, size = 1; at < text.length; at += size++)
      gathered.add(Buffer.from(text.slice(at, at + size)));
    expect(gathered.bytes.toString()).toBe(text);
  });

  it('keep no buffer of a read in memory', () => {
    const read = Buffer.allocUnsafeSlow(READ_BYTES);
    const gathered = new GatheredBytes();
    for (let at = 0; at < 100; at++) {
      gathered.add(read.subarray(at, at + 1));
      expect(gathered.bytes.buffer).not.toBe(read.buffer);
    }
  });
});
