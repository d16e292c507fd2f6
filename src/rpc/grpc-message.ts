import type { ServerHttp2Stream } from 'node:http2';
import { promisify } from 'node:util';
import { gunzip, inflate } from 'node:zlib';
import { Code, ConnectError } from '@connectrpc/connect';
import { messagesTooMany, messageTooLarge } from './errors.ts';
import type { MessageShare } from './message-limits.ts';

/** Before each message: a flag that says whether it is compressed, and its length (gRPC over HTTP2, "Length-Prefixed-Message"). */
const PREFIX_BYTES = 5;

const INFLATE = { gzip: promisify(gunzip), deflate: promisify(inflate) };

/** What grpc-js says in its answers, too. */
export const ACCEPTED_ENCODINGS = ['identity', ...Object.keys(INFLATE)].join(',');

interface Options {
  maxBytes: number;
  /** The value of `grpc-encoding`. */
  encoding: string | undefined;
  /** What the caller may have in memory. */
  share: MessageShare;
}

/**
 * Reads the one message of a unary request, and inflates it when the request has ended. grpc-js inflates and decodes
 * every message as it comes, however many a stream that never ends may have.
 *
 * What is read counts in the budget until the stream closes.
 *
 * @returns the message behind a prefix of its own, not compressed
 * @throws ConnectError RESOURCE_EXHAUSTED, INVALID_ARGUMENT, UNIMPLEMENTED
 */
export function readGrpcMessage(stream: ServerHttp2Stream, options: Options): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const { maxBytes, share } = options;
    const chunks: Buffer[] = [];
    let bytes = 0;
    const take = takeUntilClosed(stream, share);
    const onData = (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxBytes + PREFIX_BYTES) fail(messageTooLarge(maxBytes));
      else if (!take(chunk.length)) fail(messagesTooMany());
      else chunks.push(chunk);
    };
    const onEnd = () => {
      // grpc-js is given the message as `data`, too, which must not be kept and counted a second time.
      stream.off('data', onData);
      const [only] = chunks;
      const body = chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, bytes);
      plainMessage(body, options, take).then(resolve, reject);
    };
    const fail = (error: ConnectError) => {
      // The rest is dropped: a stream that is not read never closes.
      stream.off('data', onData).off('end', onEnd).resume();
      reject(error);
    };
    stream.on('data', onData).once('end', onEnd);
  });
}

function takeUntilClosed(stream: ServerHttp2Stream, share: MessageShare): (bytes: number) => boolean {
  let taken = 0;
  stream.once('close', () => share.giveBack(taken));
  return (bytes) => {
    if (!share.take(bytes)) return false;
    taken += bytes;
    return true;
  };
}

async function plainMessage(
  body: Buffer,
  { maxBytes, encoding = 'identity' }: Options,
  take: (bytes: number) => boolean,
): Promise<Buffer> {
  if (body.length < PREFIX_BYTES || body.readUInt32BE(1) !== body.length - PREFIX_BYTES) {
    throw new ConnectError('the request must be one whole message', Code.Unimplemented);
  }
  const isCompressed = body[0] === 1;
  if (!isCompressed) return body;
  if (encoding !== 'gzip' && encoding !== 'deflate') {
    throw new ConnectError(
      `messages in the encoding ${JSON.stringify(encoding)} are not taken; taken are ${ACCEPTED_ENCODINGS}`,
      Code.Unimplemented,
    );
  }
  if (!take(maxBytes)) throw messagesTooMany();
  const message = await inflated(body.subarray(PREFIX_BYTES), encoding, maxBytes);
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
