import { createFairQueue, QueueTimeoutError } from '../../overload/fair-queue.ts';
import { messagesTooMany } from '../errors.ts';
import { REQUEST_TIMEOUT_MS } from './limits.ts';

/**
 * The maximum number of messages that one listening port decompresses at the same time. A message of 60 bytes can make
 * brotli's decoder allocate a window of 16 MiB (RFC 7932, 9.1), even if the output of the decoder is limited. A hundred
 * concurrent decoders took 170 MB. Decompressing a message takes less than a millisecond.
 */
const DECODERS_MAX = 2;

/**
 * Runs a decompression. All callers that have not authenticated as a gateway (the trusted caller that names the user)
 * share the user id `undefined`.
 *
 * @throws ConnectError RESOURCE_EXHAUSTED when the decompression could not begin in time; else what `decode`
 *   throws
 */
export type RunDecoder = <Result>(
  userId: string | undefined,
  decode: () => Promise<Result>,
) => Promise<Result>;

/**
 * Limits the decompressions of one listening port. The users take turns, because the decompressions wait in a fair
 * queue (`src/overload/fair-queue.ts`). Without the queue, two hundred brotli messages of one user, each with the
 * largest window, delayed another user beyond its deadline.
 */
export function limitDecoders(): RunDecoder {
  const queue = createFairQueue(DECODERS_MAX);
  return async (userId, decode) => {
    try {
      return await queue.run(userId, Date.now() + REQUEST_TIMEOUT_MS, decode);
    } catch (error) {
      throw error instanceof QueueTimeoutError ? messagesTooMany() : error;
    }
  };
}
