import { notOneMessage } from '../errors.ts';
import { MESSAGE_PREFIX_BYTES } from '../limits/message-limits.ts';

/** The first byte before a compressed message (gRPC over HTTP2, "Compressed-Flag"). */
export const COMPRESSED_FLAG = 1;

/**
 * Returns the message in the body of a unary call by gRPC or gRPC-Web: a prefix of MESSAGE_PREFIX_BYTES, then the message.
 *
 * @throws ConnectError UNIMPLEMENTED if the body is not exactly one message
 */
export function onlyMessageIn(body: Buffer): Buffer {
  const message = body.subarray(MESSAGE_PREFIX_BYTES);
  if (body.length < MESSAGE_PREFIX_BYTES || body.readUInt32BE(1) !== message.length) throw notOneMessage();
  return message;
}
