import type { Compression } from '@connectrpc/connect/protocol';
import { compressionBrotli, compressionGzip } from '@connectrpc/connect-node';
import { createFairQueue } from '../../overload/fair-queue.ts';
import { messagesTooMany } from '../errors.ts';
import { REQUEST_TIMEOUT_MS } from '../limits/limits.ts';

/**
 * Decoders at once. That of brotli takes its whole window for a message of 60 bytes, up to 16 MiB (RFC 7932, 9.1), whatever
 * limit is set to its output: a hundred at once took 170 MB. Decoding a message takes a fraction of a millisecond.
 */
const DECODERS_MAX = 2;

/**
 * What Connect and gRPC-Web may be compressed with. Users take turns: two hundred brotli messages of one user, each with
 * the largest window, kept another user's out until its deadline.
 *
 * @param userOf the user whose message is being decompressed
 */
export function requestCompressions(userOf: () => string): Compression[] {
  const queue = createFairQueue(DECODERS_MAX);
  return [compressionGzip, compressionBrotli].map((compression) => ({
    ...compression,
    async decompress(bytes, maxBytes) {
      let begun = false;
      try {
        return await queue.run(userOf(), Date.now() + REQUEST_TIMEOUT_MS, () => {
          begun = true;
          return compression.decompress(bytes, maxBytes);
        });
      } catch (error) {
        throw begun ? error : messagesTooMany();
      }
    },
  }));
}
