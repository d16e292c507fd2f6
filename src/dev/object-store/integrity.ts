/** Checks the digests that a client sends with its bytes: Content-MD5 and `x-amz-checksum-*`. */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { crc64NvmeDigest } from './crc64-nvme.ts';
import { S3Error } from './errors.ts';
import type { S3Request } from './request.ts';

/** An incremental digest. */
interface Digest {
  update(bytes: Buffer): unknown;
  digest(): Buffer;
}

const CHECKSUM_PREFIX = 'x-amz-checksum-';

/**
 * The checksums that the AWS SDKs and the AWS CLI send by default, and those that Node can compute. S3 also has CRC32C
 * and others. This store refuses them, because a store that ignored them would confirm bytes that it has not checked.
 */
const CHECKSUMS: Readonly<Record<string, { bytes: number; start: () => Digest }>> = {
  crc32: { bytes: 4, start: crc32Digest },
  crc64nvme: { bytes: 8, start: crc64NvmeDigest },
  sha1: { bytes: 20, start: () => createHash('sha1') },
  sha256: { bytes: 32, start: () => createHash('sha256') },
};

/** The ends of `x-amz-checksum-…` headers whose value describes a checksum and is not a checksum itself. */
const DESCRIPTIONS = new Set(['algorithm', 'mode', 'type']);

/**
 * Returns the MD5 of the Content-MD5 header; `undefined` if the request has no such header.
 *
 * @throws S3Error if the value of the header is not an MD5
 */
export function contentMd5(request: S3Request): Buffer | undefined {
  const text = request.headers.get('content-md5');
  if (text === undefined) return undefined;
  const md5 = decodeBase64(text, 16);
  if (md5 === undefined) throw new S3Error('InvalidDigest', 'The Content-MD5 you specified was invalid.');
  return md5;
}

export function badMd5(): S3Error {
  return new S3Error('BadDigest', 'The Content-MD5 you specified did not match what we received.');
}

export function checksumCheck(request: S3Request) {
  const trailing = (request.headers.get('x-amz-trailer') ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '');
  const inHeaders = [...request.amz.keys()].filter(
    (name) => name.startsWith(CHECKSUM_PREFIX) && !DESCRIPTIONS.has(name.slice(CHECKSUM_PREFIX.length)),
  );
  const promised = [...inHeaders, ...trailing].map((name) => ({ name, digest: checksumOf(name).start() }));
  // An invalid checksum in a header is refused before the body is read.
  for (const name of inHeaders) decodeChecksum(name, request.amz.get(name));
  return {
    update: (chunk: Buffer): void => {
      for (const { digest } of promised) digest.update(chunk);
    },
    /**
     * Throws unless every checksum of the request matches the body. `trailers` are the headers that follow
     * the body.
     */
    assertRight: (trailers: ReadonlyMap<string, string>): void => {
      for (const { name, digest } of promised) {
        const expected = decodeChecksum(name, request.amz.get(name) ?? trailers.get(name));
        if (!expected.equals(digest.digest())) {
          const algorithm = name.slice(CHECKSUM_PREFIX.length).toUpperCase();
          throw new S3Error(
            'BadDigest',
            `The ${algorithm} you specified did not match the calculated checksum.`,
          );
        }
      }
    },
  };
}

function checksumOf(name: string): { bytes: number; start: () => Digest } {
  const algorithm = name.startsWith(CHECKSUM_PREFIX) ? name.slice(CHECKSUM_PREFIX.length) : '';
  const checksum = Object.hasOwn(CHECKSUMS, algorithm) ? CHECKSUMS[algorithm] : undefined;
  if (checksum === undefined) {
    throw new S3Error(
      'NotImplemented',
      `This development store does not verify ${name}; use CRC32, CRC64NVME, SHA1 or SHA256.`,
    );
  }
  return checksum;
}

function decodeChecksum(name: string, text: string | undefined): Buffer {
  if (text === undefined)
    throw new S3Error('MalformedTrailerError', `The trailing header ${name} is missing.`);
  const checksum = decodeBase64(text, checksumOf(name).bytes);
  if (checksum === undefined) throw new S3Error('InvalidRequest', `Value for ${name} header is invalid.`);
  return checksum;
}

/**
 * Decodes base64 of exactly `bytes` bytes; `undefined` if the text is anything else. The result is encoded again and
 * compared, because Node's decoder ignores wrong characters and would accept almost any text.
 */
function decodeBase64(text: string, bytes: number): Buffer | undefined {
  const decoded = Buffer.from(text, 'base64');
  return decoded.length === bytes && decoded.toString('base64') === text ? decoded : undefined;
}

function crc32Digest(): Digest {
  let sum = 0;
  return {
    update: (chunk) => {
      sum = crc32(chunk, sum);
    },
    digest: () => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(sum);
      return bytes;
    },
  };
}
