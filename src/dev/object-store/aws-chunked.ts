/**
 * Decodes `aws-chunked` without signatures (`STREAMING-UNSIGNED-PAYLOAD-TRAILER`). The AWS SDK for JavaScript
 * frames a stream in this way, to send its checksum after the bytes. Over plain HTTP, boto3, the AWS CLI and
 * rclone send the checksum in a header, so this file decodes no other framing. No package decodes
 * `aws-chunked`: the SDK only encodes it.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
 *
 *     <size in hex> CRLF <bytes> CRLF … 0 CRLF [name:value CRLF …] CRLF
 */
import { S3Error } from './errors.ts';

export const CHUNKED_PAYLOAD = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';

/** The longest accepted line of the framing. Clients send lines with a size or a checksum: about 100 bytes. */
const LINE_MAX_BYTES = 4096;

/** The maximum number of trailing headers. S3 knows only checksums there, and a client usually sends one. */
const TRAILERS_MAX = 8;

/** Yields the bytes without the framing. Fills `trailers` with the trailing headers before it returns. */
export async function* decodeChunked(
  source: AsyncIterable<Buffer>,
  trailers: Map<string, string>,
): AsyncGenerator<Buffer, void, undefined> {
  await using reader = frameReader(source);
  for (let leftBytes = await chunkSize(reader); leftBytes > 0; leftBytes = await chunkSize(reader)) {
    while (leftBytes > 0) {
      const bytes = await reader.upTo(leftBytes);
      leftBytes -= bytes.length;
      yield bytes;
    }
    if ((await reader.line()) !== '') throw invalid('a chunk is longer than its size');
  }
  for (let line = await reader.line(); line !== ''; line = await reader.line()) {
    if (trailers.size === TRAILERS_MAX) throw invalid('too many trailing headers');
    const [name = '', ...value] = line.split(':');
    trailers.set(name.toLowerCase(), value.join(':').trim());
  }
  if (!(await reader.atEnd())) throw invalid('bytes after the last chunk');
}

type FrameReader = ReturnType<typeof frameReader>;

async function chunkSize(reader: FrameReader): Promise<number> {
  const size = await reader.line();
  if (!/^[0-9a-f]{1,11}$/i.test(size)) throw invalid('a chunk size is not a hexadecimal number');
  return Number.parseInt(size, 16);
}

function frameReader(source: AsyncIterable<Buffer>) {
  const iterator = source[Symbol.asyncIterator]();
  let held: Buffer = Buffer.alloc(0);
  const more = async (): Promise<boolean> => {
    const next = await iterator.next();
    if (next.done === true) return false;
    held = held.length === 0 ? next.value : Buffer.concat([held, next.value]);
    return true;
  };
  return {
    async line(): Promise<string> {
      for (;;) {
        const end = held.indexOf('\r\n');
        if (end > LINE_MAX_BYTES || (end < 0 && held.length > LINE_MAX_BYTES))
          throw invalid('a line is too long');
        if (end >= 0) {
          const line = held.toString('latin1', 0, end);
          held = held.subarray(end + 2);
          return line;
        }
        if (!(await more())) throw incompleteBody();
      }
    },
    async upTo(bytes: number): Promise<Buffer> {
      if (held.length === 0 && !(await more())) throw incompleteBody();
      const taken = held.subarray(0, bytes);
      held = held.subarray(bytes);
      return taken;
    },
    async atEnd(): Promise<boolean> {
      return held.length === 0 && !(await more());
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await iterator.return?.();
    },
  };
}

export function incompleteBody(): S3Error {
  return new S3Error(
    'IncompleteBody',
    'You did not provide the number of bytes specified by the Content-Length HTTP header',
  );
}

function invalid(message: string): S3Error {
  return new S3Error('InvalidRequest', `The aws-chunked body is malformed: ${message}.`);
}
