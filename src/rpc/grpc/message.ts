import type { ServerHttp2Stream } from 'node:http2';
import type { SharedCapacity } from '../../overload/shared-capacity.ts';
import { encodingUnknown } from '../errors.ts';
import { inflate } from '../inflate.ts';
import type { RunDecoder } from '../limits/decoders.ts';
import { MESSAGE_PREFIX_BYTES } from '../limits/message-limits.ts';
import { refuseManyValues } from '../limits/message-values.ts';
import { BudgetShare, readWholeRequest } from '../limits/whole-request.ts';
import { COMPRESSED_FLAG, onlyMessageIn } from './envelope.ts';

/** The value of `grpc-accept-encoding`. grpc-js sends the same value in its own responses. */
export const ACCEPTED_ENCODINGS = 'identity,deflate,gzip';

interface MessageOptions {
  maxBytes: number;
  /** The value of `grpc-encoding`. */
  encoding: string | undefined;
  /**
   * The user whose share of `budget` the message takes. `undefined` if the caller has not authenticated as a gateway
   * (the trusted caller that names the user).
   */
  userId: string | undefined;
  budget: SharedCapacity;
  runDecoder: RunDecoder;
  /** @param message uncompressed, with its prefix */
  onMessage: (message: Buffer) => void;
  /** @param error with code RESOURCE_EXHAUSTED, INVALID_ARGUMENT or UNIMPLEMENTED */
  onError: (error: unknown) => void;
}

/**
 * Reads the single message of a unary request, and inflates the message when the request has ended. If grpc-js
 * read the request itself, it would inflate and decode each message as it arrives, and it sets no limit to the
 * number of messages in a request.
 */
export function readGrpcMessage(stream: ServerHttp2Stream, options: MessageOptions): void {
  const { maxBytes, userId, budget, onMessage, onError } = options;
  const share = new BudgetShare(budget, userId);
  stream.on('close', () => share.giveBack());
  const pass = (message: Buffer) => {
    try {
      refuseManyValues(message.subarray(MESSAGE_PREFIX_BYTES), 'binary');
    } catch (error) {
      return onError(error);
    }
    onMessage(message);
  };
  const onWhole = (whole: Buffer) => {
    try {
      onlyMessageIn(whole);
    } catch (error) {
      return onError(error);
    }
    if (whole[0] !== COMPRESSED_FLAG) return pass(whole);
    plainMessage(whole, options, share).then(pass, onError);
  };
  const bytes = { maxBytes: maxBytes + MESSAGE_PREFIX_BYTES, messageMaxBytes: maxBytes };
  readWholeRequest(stream, { ...bytes, share, onWhole, onError });
}

async function plainMessage(
  compressed: Buffer,
  { maxBytes, encoding = 'identity', userId, runDecoder }: MessageOptions,
  share: BudgetShare,
): Promise<Buffer> {
  if (encoding !== 'gzip' && encoding !== 'deflate') throw encodingUnknown(ACCEPTED_ENCODINGS);
  share.take(maxBytes);
  const message = await runDecoder(userId, () =>
    inflate(compressed.subarray(MESSAGE_PREFIX_BYTES), encoding, maxBytes),
  );
  const plain = Buffer.allocUnsafe(MESSAGE_PREFIX_BYTES + message.length);
  plain.writeUInt8(0, 0);
  plain.writeUInt32BE(message.length, 1);
  message.copy(plain, MESSAGE_PREFIX_BYTES);
  return plain;
}
