import type { IncomingMessage, ServerResponse } from 'node:http';
import type { DescMethod } from '@bufbuild/protobuf';
import type { SharedCapacity } from '../../overload/shared-capacity.ts';
import { messageTooLarge } from '../errors.ts';
import { COMPRESSED_FLAG, onlyMessageIn } from '../grpc/envelope.ts';
import { checkArrival } from '../limits/arrival.ts';
import { MESSAGE_PREFIX_BYTES, messageMaxBytes, STREAM_REQUEST_MAX_BYTES } from '../limits/message-limits.ts';
import { refuseMessage } from '../limits/message-values.ts';
import { BudgetShare, readWholeRequest } from '../limits/whole-request.ts';
import { decodeText } from './grpc-web-text.ts';
import type { UnaryProtocol } from './protocol.ts';

/**
 * Whether connect-node is going to inflate the message of a body. Connect declares a compression in `content-encoding`.
 * gRPC and gRPC-Web set a bit in the prefix of each compressed message: with `grpc-encoding` alone, a message may
 * still be uncompressed.
 */
export function isCompressed(body: Buffer, { headers }: IncomingMessage, { name }: UnaryProtocol): boolean {
  if (name !== 'connect') return ((body[0] ?? 0) & COMPRESSED_FLAG) !== 0;
  return (headers['content-encoding'] ?? 'identity') !== 'identity';
}

/**
 * Returns the message in a body. gRPC and gRPC-Web send a prefix of MESSAGE_PREFIX_BYTES before the message.
 *
 * @throws ConnectError UNIMPLEMENTED if the body is not exactly one message
 */
export function messageIn(body: Buffer, { name }: UnaryProtocol): Buffer {
  return name === 'connect' ? body : onlyMessageIn(body);
}

/** Returns the maximum size of a body, which leaves room for a message of `maxBytes` with its prefix. */
function bodyMaxBytes({ name }: UnaryProtocol, maxBytes: number): number {
  const prefixed = maxBytes + MESSAGE_PREFIX_BYTES;
  // Base64 encodes three bytes as four characters.
  return name === 'grpc-web-text' ? Math.ceil(prefixed / 3) * 4 : prefixed;
}

interface BodyOptions {
  budget: SharedCapacity;
  /** `undefined` if the caller has not authenticated as a gateway (the trusted caller that names the user). */
  userId: string | undefined;
  /** @param body the whole body. In gRPC and gRPC-Web, it begins with the prefix of the message. */
  onBody: (body: Buffer) => void;
  /** @param error ConnectError RESOURCE_EXHAUSTED, INVALID_ARGUMENT or UNIMPLEMENTED */
  onError: (error: unknown) => void;
}

/** Reads the body of a unary request. Its bytes are taken from `budget` until the response has closed. */
export function readBody(
  request: IncomingMessage,
  response: ServerResponse,
  method: DescMethod,
  protocol: UnaryProtocol,
  { budget, userId, onBody, onError }: BodyOptions,
): void {
  const messageBytes = messageMaxBytes(method, protocol.encoding);
  const maxBytes = bodyMaxBytes(protocol, messageBytes);
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) {
    onError(messageTooLarge(messageBytes));
    return;
  }
  const share = new BudgetShare(budget, userId);
  response.once('close', () => share.giveBack());
  const onWhole = (bytes: Buffer) => {
    const body = protocol.name === 'grpc-web-text' ? decodeText(bytes) : bytes;
    try {
      refuseBody(body, request, protocol, messageBytes);
    } catch (error) {
      onError(error);
      return;
    }
    onBody(body);
  };
  readWholeRequest(request, { maxBytes, messageMaxBytes: messageBytes, share, onWhole, onError });
}

/** @throws ConnectError if the body is not exactly one message, or if the message is too large or cannot be decoded */
function refuseBody(
  body: Buffer,
  request: IncomingMessage,
  protocol: UnaryProtocol,
  messageBytes: number,
): void {
  const message = messageIn(body, protocol);
  // `compression.ts` checks the message of a compressed body after it has inflated the message.
  if (isCompressed(body, request, protocol)) return;
  if (message.length > messageBytes) throw messageTooLarge(messageBytes);
  refuseMessage(message, protocol.encoding);
}

/**
 * Yields the body of a stream as it arrives.
 *
 * @throws ConnectError RESOURCE_EXHAUSTED when the body has more than STREAM_REQUEST_MAX_BYTES, or too many small pieces
 */
export async function* streamBody(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const arrives = checkArrival(STREAM_REQUEST_MAX_BYTES);
  for await (const chunk of body) {
    arrives(chunk);
    yield chunk;
  }
}
