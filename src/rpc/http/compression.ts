import type { Compression } from '@connectrpc/connect/protocol';
import { compressionBrotli, compressionGzip } from '@connectrpc/connect-node';
import { limitDecoders } from '../limits/decoders.ts';
import type { MessageEncoding } from '../limits/message-limits.ts';
import { refuseManyValues } from '../limits/message-values.ts';

export interface CompressedCall {
  /** `undefined` if the caller has not authenticated as a gateway. */
  userId: string | undefined;
  encoding: MessageEncoding;
}

/**
 * The compressions that a client may use for requests of Connect and gRPC-Web.
 *
 * @param callOf returns the call whose message is being decompressed
 */
export function requestCompressions(callOf: () => CompressedCall | undefined): Compression[] {
  const runDecoder = limitDecoders();
  return [compressionGzip, compressionBrotli].map((compression) => ({
    ...compression,
    async decompress(bytes, maxBytes) {
      const { userId, encoding = 'binary' } = callOf() ?? {};
      const message = await runDecoder(userId, () => compression.decompress(bytes, maxBytes));
      refuseManyValues(message, encoding);
      return message;
    },
  }));
}
