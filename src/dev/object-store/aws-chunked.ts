/**
 * Decodes `aws-chunked`, the framing inside the body with which AWS SDKs send a checksum after the bytes:
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
 *
 *     <size in hex>[;chunk-signature=<hex>] CRLF <bytes> CRLF … 0[;chunk-signature=<hex>] CRLF [name:value CRLF …] CRLF
 */
import { createHash, hash } from 'node:crypto';
import { S3Error } from './errors.ts';
import type { Authenticated } from './signatures/authenticate.ts';
import { isSame, signChunk, signTrailer } from './signatures/sigv4.ts';

/** The longest line of the framing. A real line has a size and a signature, about 100 bytes. */
const LINE_MAX_BYTES = 4096;

/** Checksums are the only trailers that S3 knows, and a client usually sends one. */
const TRAILERS_MAX = 8;

export interface ChunkedForm {
  /** `STREAMING-AWS4-HMAC-SHA256-PAYLOAD[-TRAILER]`: every chunk, and the trailer, carries a signature. */
  readonly signed: boolean;
  /** `STREAMING-…-TRAILER`: header lines follow the last chunk. */
  readonly trailer: boolean;
}

export function chunkedForm(payloadHash: string): ChunkedForm | undefined {
  switch (payloadHash) {
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD':
      return { signed: true, trailer: false };
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER':
      return { signed: true, trailer: true };
    case 'STREAMING-UNSIGNED-PAYLOAD-TRAILER':
      return { signed: false, trailer: true };
    default:
      return undefined;
  }
}

/** Yields the bytes inside the framing. When it returns, `trailers` has the trailing headers. */
export async function* decodeChunked(
  source: AsyncIterable<Buffer>,
  form: ChunkedForm,
  authenticated: Authenticated,
  trailers: Map<string, string>,
): AsyncGenerator<Buffer, void, undefined> {
  const reader = frameReader(source);
  let previousSignature = authenticated.signature;
  try {
    for (;;) {
      const [size = '', extension] = splitOnce(await reader.line(), ';');
      if (!/^[0-9a-f]{1,11}$/i.test(size)) throw invalid('a chunk size is not a hexadecimal number');
      let leftBytes = Number.parseInt(size, 16);
      const isLast = leftBytes === 0;
      const sha256 = createHash('sha256');
      while (leftBytes > 0) {
        const bytes = await reader.upTo(leftBytes);
        leftBytes -= bytes.length;
        if (form.signed) sha256.update(bytes);
        yield bytes;
      }
      if (form.signed) {
        const expected = signChunk(authenticated.signer, previousSignature, sha256.digest('hex'));
        assertSignature(expected, splitOnce(extension ?? '', '=')[1]);
        previousSignature = expected;
      }
      if (isLast) break;
      if ((await reader.line()) !== '') throw invalid('a chunk is longer than its size');
    }
    let signedText = '';
    let signature: string | undefined;
    for (let line = await reader.line(); line !== ''; line = await reader.line()) {
      const [name, value = ''] = splitOnce(line, ':');
      if (name === 'x-amz-trailer-signature') {
        signature = value.trim();
      } else {
        if (!form.trailer || trailers.size === TRAILERS_MAX) throw invalid('unexpected trailing headers');
        trailers.set(name.toLowerCase(), value.trim());
        signedText += `${name.toLowerCase()}:${value.trim()}\n`;
      }
    }
    if (form.signed && form.trailer) {
      assertSignature(
        signTrailer(authenticated.signer, previousSignature, hash('sha256', signedText)),
        signature,
      );
    }
    if (!(await reader.atEnd())) throw invalid('bytes after the last chunk');
  } finally {
    await reader.close();
  }
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
    async close(): Promise<void> {
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

function assertSignature(expected: string, given: string | undefined): void {
  if (given === undefined || !isSame(expected, given)) {
    throw new S3Error(
      'SignatureDoesNotMatch',
      'The signature of a chunk does not match the one we calculated.',
    );
  }
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)];
}

function invalid(message: string): S3Error {
  return new S3Error('InvalidRequest', `The aws-chunked body is malformed: ${message}.`);
}
