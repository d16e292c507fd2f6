import type { IncomingMessage } from 'node:http';
import type { DescMethod } from '@bufbuild/protobuf';
import type { SharedCapacity } from '../../overload/shared-capacity.ts';
import { messagesTooMany, messageTooLarge, notOneMessage } from '../errors.ts';
import { checkArrival, GatheredBytes } from '../limits/arrival.ts';
import { MESSAGE_PREFIX_BYTES, messageMaxBytes } from '../limits/message-limits.ts';
import { refuseMessage } from '../limits/message-values.ts';
import { decodeText } from './grpc-web-text.ts';
import type { UnaryProtocol } from './protocol.ts';

/** Connect declares the compression in `content-encoding`, gRPC and gRPC-Web in `grpc-encoding`. */
export function isCompressed({ headers }: IncomingMessage): boolean {
  return headers['content-encoding'] !== undefined || headers['grpc-encoding'] !== undefined;
}

/**
 * The message of a body. gRPC and gRPC-Web send a prefix before it.
 *
 * @throws ConnectError UNIMPLEMENTED if the body is not exactly one message
 */
function messageIn(body: Buffer, { name }: UnaryProtocol): Buffer {
  if (name === 'connect') return body;
  const message = body.subarray(MESSAGE_PREFIX_BYTES);
  if (body.length < MESSAGE_PREFIX_BYTES || body.readUInt32BE(1) !== message.length) throw notOneMessage();
  return message;
}

/** The largest body whose message has `maxBytes`. */
function bodyMaxBytes({ name }: UnaryProtocol, maxBytes: number): number {
  const prefixed = maxBytes + MESSAGE_PREFIX_BYTES;
  // Base64 encodes three bytes as four characters.
  return name === 'grpc-web-text' ? Math.ceil(prefixed / 3) * 4 : prefixed;
}

/**
 * Yields the body of a unary request as one chunk, once the request has ended. The body counts in the budget
 * until the handler asks for the next chunk, which the handler does after it has decoded the body.
 *
 * @throws ConnectError RESOURCE_EXHAUSTED, INVALID_ARGUMENT, UNIMPLEMENTED
 */
export async function* wholeBody(
  request: IncomingMessage,
  method: DescMethod,
  protocol: UnaryProtocol,
  { budget, userId }: { budget: SharedCapacity; userId: string | undefined },
): AsyncGenerator<Uint8Array> {
  const maxBytes = messageMaxBytes(method, protocol.encoding);
  const maxBodyBytes = bodyMaxBytes(protocol, maxBytes);
  if (Number(request.headers['content-length'] ?? 0) > maxBodyBytes) throw messageTooLarge(maxBytes);
  const arrives = checkArrival(maxBodyBytes, maxBytes);
  const gathered = new GatheredBytes();
  let taken = 0;
  try {
    // Without `destroyOnReturn: false`, an error in this loop would close the socket of HTTP/1.1 before the answer.
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      arrives(chunk);
      if (!budget.take(userId, chunk.length)) throw messagesTooMany();
      taken += chunk.length;
      gathered.add(chunk);
    }
    const whole = protocol.name === 'grpc-web-text' ? decodeText(gathered.bytes) : gathered.bytes;
    const message = messageIn(whole, protocol);
    // `compression.ts` checks the message of a compressed body after it has inflated the message.
    if (!isCompressed(request)) {
      if (message.length > maxBytes) throw messageTooLarge(maxBytes);
      refuseMessage(message, protocol.encoding);
    }
    yield whole;
  } finally {
    budget.giveBack(userId, taken);
  }
}

/**
 * Yields the body of a stream as it arrives.
 *
 * @throws ConnectError RESOURCE_EXHAUSTED
 */
export async function* streamBody(
  body: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<Uint8Array> {
  const arrives = checkArrival(maxBytes);
  for await (const chunk of body) {
    arrives(chunk);
    yield chunk;
  }
}
