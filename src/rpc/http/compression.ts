import type { Compression } from '@connectrpc/connect/protocol';
import { COMPRESS } from '../compress.ts';
import { inflate } from '../inflate.ts';
import { limitDecoders } from '../limits/decoders.ts';
import type { MessageEncoding } from '../limits/message-limits.ts';
import { refuseMessage } from '../limits/message-values.ts';

export interface CompressedCall {
  /** `undefined` if the caller has not authenticated as a gateway (the trusted caller that names the user). */
  userId: string | undefined;
  encoding: MessageEncoding;
}

/**
 * The compressions for requests and answers of Connect and gRPC-Web.
 *
 * @param callOf returns the call whose message is being decompressed
 */
export function requestCompressions(callOf: () => CompressedCall | undefined): Compression[] {
  const runDecoder = limitDecoders();
  return (['gzip', 'br'] as const).map((name) => ({
    name,
    compress: COMPRESS[name],
    async decompress(bytes, maxBytes) {
      const { userId, encoding = 'binary' } = callOf() ?? {};
      // Clients do not compress a message of no bytes, and still announce the compression.
      if (bytes.length === 0) return new Uint8Array();
      const message: Buffer<ArrayBuffer> = await runDecoder(userId, () => inflate(bytes, name, maxBytes));
      refuseMessage(message, encoding);
      return message;
    },
  }));
}
