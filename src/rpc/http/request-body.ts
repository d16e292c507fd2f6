import type { IncomingMessage } from 'node:http';
import type { DescMethod } from '@bufbuild/protobuf';
import type { SharedCapacity } from '../../overload/shared-capacity.ts';
import { messagesTooMany, messageTooLarge } from '../errors.ts';
import { checkArrival, GatheredBytes } from '../limits/arrival.ts';
import { MESSAGE_PREFIX_BYTES, type MessageEncoding, messageMaxBytes } from '../limits/message-limits.ts';
import { refuseManyValues } from '../limits/message-values.ts';

/** Connect declares the compression in `content-encoding`, gRPC and gRPC-Web in `grpc-encoding`. */
export function isCompressed({ headers }: IncomingMessage): boolean {
  return headers['content-encoding'] !== undefined || headers['grpc-encoding'] !== undefined;
}

export function encodingOf({ headers }: IncomingMessage): MessageEncoding {
  return headers['content-type']?.includes('json') ? 'json' : 'binary';
}

/** The message of an uncompressed body. gRPC and gRPC-Web send a prefix before it. */
function messageIn(body: Uint8Array, { headers }: IncomingMessage): Uint8Array {
  return headers['content-type']?.startsWith('application/grpc') ? body.subarray(MESSAGE_PREFIX_BYTES) : body;
}

/**
 * Yields the body of a unary request as one chunk, once the request has ended. The body counts in the budget
 * until the handler asks for the next chunk, which the handler does after it has decoded the body.
 *
 * @throws ConnectError RESOURCE_EXHAUSTED, INVALID_ARGUMENT
 */
export async function* wholeBody(
  body: AsyncIterable<Uint8Array>,
  request: IncomingMessage,
  method: DescMethod,
  { budget, userId }: { budget: SharedCapacity; userId: string | undefined },
): AsyncGenerator<Uint8Array> {
  const encoding = encodingOf(request);
  const maxBytes = messageMaxBytes(method, encoding) + MESSAGE_PREFIX_BYTES;
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw messageTooLarge(maxBytes);
  const arrives = checkArrival(maxBytes);
  const gathered = new GatheredBytes();
  let taken = 0;
  try {
    for await (const chunk of body) {
      arrives(chunk);
      if (!budget.take(userId, chunk.length)) throw messagesTooMany();
      taken += chunk.length;
      gathered.add(chunk);
    }
    const whole = gathered.bytes;
    // `compression.ts` checks the message of a compressed body after it has inflated the message.
    if (!isCompressed(request)) refuseManyValues(messageIn(whole, request), encoding);
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
