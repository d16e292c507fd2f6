import type { Compression } from '@connectrpc/connect/protocol';
import { compressionBrotli, compressionGzip } from '@connectrpc/connect-node';
import { createFairQueue } from '../../overload/fair-queue.ts';
import { messagesTooMany } from '../errors.ts';
import { REQUEST_TIMEOUT_MS } from '../limits/limits.ts';

/**
 * Decoders that run at once. A message of 60 bytes can make brotli's decoder allocate a window of 16 MiB (RFC
 * 7932, 9.1), whatever limit its output has: a hundred decoders at once took 170 MB. Decoding takes less than
 * a millisecond.
 */
const DECODERS_MAX = 2;

/**
 * The compressions that requests of Connect and gRPC-Web may have. A fair queue shares the decoders among
 * users: without it, two hundred brotli messages of one user, each with the largest window, delayed another
 * user beyond its deadline.
 *
 * @param userOf returns the user whose message is being decompressed
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
