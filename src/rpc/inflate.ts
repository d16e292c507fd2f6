import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate as inflateZlib } from 'node:zlib';
import { invalidRequest, messageTooLarge } from './errors.ts';

const INFLATE = {
  gzip: promisify(gunzip),
  deflate: promisify(inflateZlib),
  br: promisify(brotliDecompress),
};

/**
 * Decompresses a message that has at most `maxBytes` after decompression. The caller limits how many messages are
 * decompressed at the same time (`limits/decoders.ts`).
 *
 * @throws ConnectError MESSAGE_TOO_LARGE, INVALID_REQUEST
 */
export async function inflate(
  compressed: Uint8Array,
  encoding: keyof typeof INFLATE,
  maxBytes: number,
): Promise<Buffer<ArrayBuffer>> {
  try {
    return await INFLATE[encoding](compressed, { maxOutputLength: maxBytes });
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE') throw messageTooLarge(maxBytes);
    throw invalidRequest(`the message is not ${encoding}`);
  }
}
