/**
 * The algorithm of AWS Signature Version 4, as S3 uses it. Pure functions; authenticate.ts decides with them.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
import { createHmac, hash, timingSafeEqual } from 'node:crypto';
import { encodeUri, type S3Request } from '../request.ts';

export const algorithm = 'AWS4-HMAC-SHA256';

/** The date, region and service for which a signature is valid: `20260131/us-east-1/s3/aws4_request`. */
export interface Scope {
  readonly date: string;
  readonly region: string;
  readonly service: string;
}

/**
 * The inputs of signing: the key that was derived for the scope, and the signing time (`20260131T120000Z`).
 */
export interface Signer {
  readonly key: Buffer;
  readonly timestamp: string;
  readonly scope: Scope;
}

export function deriveKey(secretAccessKey: string, scope: Scope): Buffer {
  return [scope.date, scope.region, scope.service, 'aws4_request'].reduce<Buffer>(
    (key, part) => createHmac('sha256', key).update(part).digest(),
    Buffer.from(`AWS4${secretAccessKey}`),
  );
}

export function signRequest(
  signer: Signer,
  request: S3Request,
  signedHeaders: readonly string[],
  payloadHash: string,
): string {
  const canonicalRequest = [
    request.method,
    request.canonicalPath,
    canonicalQuery(request),
    ...signedHeaders.map((name) => `${name}:${canonicalValue(request.headers.get(name) ?? '')}`),
    '',
    signedHeaders.join(';'),
    payloadHash,
  ].join('\n');
  // Node decodes header bytes as Latin-1. Encoding as Latin-1 gives back exactly the bytes that were signed.
  return sign(signer, algorithm, [hash('sha256', Buffer.from(canonicalRequest, 'latin1'))]);
}

const hashOfNothing = hash('sha256', '');

/** The signature of a chunk covers the previous signature, so no chunk can be dropped or moved. */
export function signChunk(signer: Signer, previousSignature: string, sha256: string): string {
  return sign(signer, `${algorithm}-PAYLOAD`, [previousSignature, hashOfNothing, sha256]);
}

export function signTrailer(signer: Signer, previousSignature: string, sha256: string): string {
  return sign(signer, 'AWS4-HMAC-SHA256-TRAILER', [previousSignature, sha256]);
}

/** Compares in constant time, so that the duration does not show how much of a forged signature was right. */
export function isSame(a: string, b: string): boolean {
  return timingSafeEqual(hash('sha256', a, 'buffer'), hash('sha256', b, 'buffer'));
}

function sign({ key, timestamp, scope }: Signer, kind: string, rest: readonly string[]): string {
  const scopeText = `${scope.date}/${scope.region}/${scope.service}/aws4_request`;
  return createHmac('sha256', key)
    .update([kind, timestamp, scopeText, ...rest].join('\n'))
    .digest('hex');
}

function canonicalQuery(request: S3Request): string {
  return request.query
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]) => [encodeUri(name), encodeUri(value)] as const)
    .sort(([nameA, valueA], [nameB, valueB]) => compare(nameA, nameB) || compare(valueA, valueB))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function canonicalValue(value: string): string {
  return value.trim().replace(/[ \t]+/g, ' ');
}
