/**
 * Reads a request's body, and checks its announced length, framing and digests. The caller gets either the
 * complete, correct body or an error.
 */
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { CHUNKED_PAYLOAD, decodeChunked, incompleteBody } from './aws-chunked.ts';
import { S3Error } from './errors.ts';
import { badMd5, checksumCheck, contentMd5 } from './integrity.ts';
import type { S3Request } from './request.ts';
import type { Fill, Written } from './storage/objects.ts';

/** S3 accepts at most 5 GiB in a single PUT or in one part of a multipart upload. */
const PUT_MAX_BYTES = 5 * 1024 ** 3;

/** The largest XML body that is accepted: enough for a list of 10,000 parts, each with an ETag and a checksum. */
const XML_MAX_BYTES = 8 * 1024 ** 2;

export type Body = ReturnType<typeof bodyOf>;

export function bodyOf(
  request: S3Request,
  payloadHash: string,
  message: IncomingMessage,
  sendContinue: () => void,
) {
  /**
   * Passes every byte of the body to `take`, in order. It throws if the body differs from the length or the
   * digests in its headers. `take` may have received some or all bytes by then.
   */
  const receive = async (
    take: (bytes: Buffer) => Promise<void>,
    maxBytes = PUT_MAX_BYTES,
  ): Promise<Written> => {
    // All checks that need only headers come first. A client with `Expect: 100-continue` waits for
    // `sendContinue`, so it sends no bytes if one of these checks fails.
    const isChunked = payloadHash === CHUNKED_PAYLOAD;
    const expectedBytes = announcedBytes(request, isChunked, maxBytes);
    const expectedMd5 = contentMd5(request);
    const checksums = checksumCheck(request);
    const expectedSha256 = isChunked ? undefined : signedSha256(payloadHash);
    sendContinue();

    const md5 = createHash('md5');
    const sha256 = createHash('sha256');
    const trailers = new Map<string, string>();
    // By default, an error in the loop below would destroy the message. That would close the socket before the
    // client has read the error response.
    const raw: AsyncIterable<Buffer> = message.iterator({ destroyOnReturn: false });
    let sizeBytes = 0;
    for await (const bytes of isChunked ? decodeChunked(raw, trailers) : raw) {
      sizeBytes += bytes.length;
      if (sizeBytes > expectedBytes) throw incompleteBody();
      md5.update(bytes);
      if (expectedSha256 !== undefined) sha256.update(bytes);
      checksums.update(bytes);
      await take(bytes);
    }
    if (sizeBytes !== expectedBytes) throw incompleteBody();
    if (expectedSha256 !== undefined && sha256.digest('hex') !== expectedSha256) {
      const message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
      throw new S3Error('XAmzContentSHA256Mismatch', message);
    }
    checksums.assertRight(trailers);
    const actualMd5 = md5.digest();
    if (expectedMd5 !== undefined && !expectedMd5.equals(actualMd5)) throw badMd5();
    return { sizeBytes, etag: `"${actualMd5.toString('hex')}"` };
  };

  /** The body as text, for the operations whose body is an XML document. */
  const text = async (): Promise<string> => {
    const chunks: Buffer[] = [];
    await receive(async (bytes) => void chunks.push(bytes), XML_MAX_BYTES);
    return Buffer.concat(chunks).toString('utf8');
  };

  return { receive: ((take) => receive(take)) satisfies Fill, text };
}

function announcedBytes({ headers }: S3Request, isChunked: boolean, maxBytes: number): number {
  const announced = headers.get(isChunked ? 'x-amz-decoded-content-length' : 'content-length');
  if (announced === undefined && headers.has('transfer-encoding')) {
    const message = 'A header you provided implies functionality that is not implemented';
    throw new S3Error('NotImplemented', message, { Header: 'Transfer-Encoding' });
  }
  if (announced === undefined || !/^[0-9]{1,15}$/.test(announced)) {
    throw new S3Error('MissingContentLength', 'You must provide the Content-Length HTTP header.');
  }
  if (Number(announced) > maxBytes) {
    const message = 'Your proposed upload exceeds the maximum allowed size';
    throw new S3Error('EntityTooLarge', message, {
      ProposedSize: `${Number(announced)}`,
      MaxSizeAllowed: `${maxBytes}`,
    });
  }
  return Number(announced);
}

function signedSha256(payloadHash: string): string | undefined {
  if (payloadHash === 'UNSIGNED-PAYLOAD') return undefined;
  if (/^[0-9a-f]{64}$/.test(payloadHash)) return payloadHash;
  const known = `UNSIGNED-PAYLOAD, ${CHUNKED_PAYLOAD} or a valid sha256 value`;
  if (payloadHash.startsWith('STREAMING-')) {
    throw new S3Error('NotImplemented', `In this development store, x-amz-content-sha256 must be ${known}.`);
  }
  throw new S3Error('InvalidArgument', `x-amz-content-sha256 must be ${known}.`);
}
