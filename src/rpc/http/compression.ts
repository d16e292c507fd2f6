import type { Compression, UniversalServerRequest } from '@connectrpc/connect/protocol';
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

/**
 * Writes the header `accept-encoding` in the form that connect-node knows, which is names without weights. Ruby sends
 * `gzip;q=1.0,deflate;q=0.6` by default.
 */
export function withoutWeights({ header }: UniversalServerRequest): void {
  const accepted = header.get('accept-encoding');
  if (accepted === null || accepted.length > ACCEPTED_MAX_CHARACTERS) return;
  const names = accepted.split(',').flatMap((each) => {
    const [name = '', ...parameters] = each.toLowerCase().split(';');
    return parameters.some((parameter) => NO_WEIGHT.test(parameter)) ? [] : [name.trim()];
  });
  header.set('accept-encoding', names.join());
}

/** No client sends a longer value. A value of 16 kB, all commas, would occupy the event loop for milliseconds. */
const ACCEPTED_MAX_CHARACTERS = 256;

/** The weight 0 stands for an encoding that the client does not accept (RFC 9110, 12.4.2). */
const NO_WEIGHT = /^\s*q=0(\.0*)?\s*$/;
