import type { ServerHttp2Stream } from 'node:http2';
import { promisify } from 'node:util';
import { gunzip, inflate } from 'node:zlib';
import { Code, ConnectError } from '@connectrpc/connect';
import { messagesTooMany, messageTooLarge } from '../errors.ts';
import type { MessageBudget } from '../limits/message-limits.ts';

/** Before each message: a flag that says whether it is compressed, and its length (gRPC over HTTP2, "Length-Prefixed-Message"). */
const PREFIX_BYTES = 5;

const INFLATE = { gzip: promisify(gunzip), deflate: promisify(inflate) };

/** What grpc-js says in its answers, too. */
export const ACCEPTED_ENCODINGS = ['identity', ...Object.keys(INFLATE)].join(',');

export interface MessageOptions {
  maxBytes: number;
  /** The value of `grpc-encoding`. */
  encoding: string | undefined;
  /** Whose message it is, for the budget. */
  userId: string | undefined;
  budget: MessageBudget;
  /** @param message behind a prefix of its own, not compressed */
  onMessage: (message: Buffer) => void;
  /** RESOURCE_EXHAUSTED, INVALID_ARGUMENT, UNIMPLEMENTED */
  onError: (error: unknown) => void;
}

/**
 * Reads the one message of a unary request, and inflates it when the request has ended. grpc-js inflates and decodes
 * every message as it comes, however many a stream that never ends may have.
 *
 * By callbacks, since every call passes here: promises for it took 4 µs of a call's 83.
 *
 * @returns gives back what the message has taken of the budget; to be called when the stream has closed
 */
export function readGrpcMessage(stream: ServerHttp2Stream, options: MessageOptions): () => void {
  const { maxBytes, userId, budget, onMessage, onError } = options;
  let body: Buffer | undefined;
  let further: Buffer[] | undefined;
  let bytes = 0;
  let taken = 0;
  const take = (more: number) => {
    if (!budget.take(userId, more)) return false;
    taken += more;
    return true;
  };
  const onData = (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > maxBytes + PREFIX_BYTES) return fail(messageTooLarge(maxBytes));
    if (!take(chunk.length)) return fail(messagesTooMany());
    if (body === undefined) body = chunk;
    else if (further === undefined) further = [body, chunk];
    else further.push(chunk);
  };
  const onEnd = () => {
    // grpc-js is given the message and its end by the same events, which must not come here a second time.
    stream.off('data', onData).off('end', onEnd);
    const whole = further === undefined ? body : Buffer.concat(further, bytes);
    if (
      whole === undefined ||
      whole.length < PREFIX_BYTES ||
      whole.readUInt32BE(1) !== bytes - PREFIX_BYTES
    ) {
      return onError(new ConnectError('the request must be one whole message', Code.Unimplemented));
    }
    if (whole[0] !== 1) return onMessage(whole);
    plainMessage(whole, options, take).then(onMessage, onError);
  };
  const fail = (error: ConnectError) => {
    // The rest is dropped: a stream that is not read never closes.
    stream.off('data', onData).off('end', onEnd).resume();
    onError(error);
  };
  stream.on('data', onData).on('end', onEnd);
  return () => budget.giveBack(userId, taken);
}

async function plainMessage(
  compressed: Buffer,
  { maxBytes, encoding = 'identity' }: MessageOptions,
  take: (bytes: number) => boolean,
): Promise<Buffer> {
  if (encoding !== 'gzip' && encoding !== 'deflate') {
    throw new ConnectError(
      `messages in the encoding ${JSON.stringify(encoding)} are not taken; taken are ${ACCEPTED_ENCODINGS}`,
      Code.Unimplemented,
    );
  }
  if (!take(maxBytes)) throw messagesTooMany();
  const message = await inflated(compressed.subarray(PREFIX_BYTES), encoding, maxBytes);
  const plain = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  plain.writeUInt8(0, 0);
  plain.writeUInt32BE(message.length, 1);
  message.copy(plain, PREFIX_BYTES);
  return plain;
}

async function inflated(
  compressed: Buffer,
  encoding: keyof typeof INFLATE,
  maxOutputLength: number,
): Promise<Buffer> {
  try {
    return await INFLATE[encoding](compressed, { maxOutputLength });
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE') throw messageTooLarge(maxOutputLength);
    throw new ConnectError(`the message is not ${encoding}`, Code.InvalidArgument);
  }
}
