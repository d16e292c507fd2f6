import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import { createFairQueue, QueueTimeoutError } from '../overload/fair-queue.ts';

/**
 * Answers with fewer bytes are sent without compression. Compressing takes 10 µs of CPU per kB. For a page of 100 files
 * (25 kB), this would be half of the cost of its call. The largest page has 1 MiB, and gzip makes it smaller than a
 * third of this.
 */
export const COMPRESS_MIN_BYTES = 64 * 1024;

const gzipAsync = promisify<Uint8Array, object, Buffer<ArrayBuffer>>(gzip);
const brotliAsync = promisify<Uint8Array, object, Buffer<ArrayBuffer>>(brotliCompress);

/**
 * The fastest level of each encoding. The default level of gzip takes 50 % more CPU, and its output is only 2 %
 * smaller. The default quality of brotli takes 1 s for 1 MiB.
 */
export const COMPRESS = {
  gzip: (bytes: Uint8Array) => gzipAsync(bytes, { level: constants.Z_BEST_SPEED }),
  br: (bytes: Uint8Array) => brotliAsync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
};

/**
 * The maximum number of answers that one port compresses at the same time. Compressions use Node's thread pool, which
 * DNS look-ups and file reads need too.
 */
const COMPRESSIONS_MAX = 2;

/**
 * An answer that has waited for this long is sent without compression. The time is part of the 300 ms that
 * `call-policy.ts` reserves for the response.
 */
const QUEUE_MAX_MS = 50;

/**
 * @param accepted the value of the header in which the client lists the compressions that it accepts
 * @param userId `undefined` if the caller has not authenticated as a gateway (the trusted caller that names the user)
 * @returns the compressed bytes, or the given bytes without `compression`
 */
export type Compress = (
  bytes: Buffer,
  accepted: string | string[] | undefined,
  userId: string | undefined,
) => Promise<{ bytes: Buffer; compression: 'gzip' | undefined }>;

/**
 * Compresses large answers of the gRPC port. The users take turns, because the compressions wait in a fair queue
 * (`src/overload/fair-queue.ts`).
 */
export function createCompress(): Compress {
  const queue = createFairQueue(COMPRESSIONS_MAX);
  return async (bytes, accepted, userId) => {
    const plain = { bytes, compression: undefined };
    if (bytes.length < COMPRESS_MIN_BYTES || !acceptsGzip(String(accepted ?? ''))) return plain;
    try {
      const compress = () => COMPRESS.gzip(bytes);
      return { bytes: await queue.run(userId, Date.now() + QUEUE_MAX_MS, compress), compression: 'gzip' };
    } catch (error) {
      if (error instanceof QueueTimeoutError) return plain;
      throw error;
    }
  };
}

function acceptsGzip(accepted: string): boolean {
  return accepted.split(',').some((name) => name.trim() === 'gzip');
}
