/**
 * The algorithm of AWS Signature Version 4, as S3 uses it, in pure functions. authenticate.ts uses them to
 * accept or refuse a request. This file shares no code with src/s3/signing, because it checks the signatures
 * that src/s3/signing makes.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
import { createHmac, hash, timingSafeEqual } from 'node:crypto';
import { encodeUri, type S3Request } from '../request.ts';

export const ALGORITHM = 'AWS4-HMAC-SHA256';

/** The values that a signature covers in addition to the request itself. */
export interface Signed {
  /** The date, region and service for which the signature is valid: `20260131/us-east-1/s3/aws4_request`. */
  readonly scope: { readonly date: string; readonly region: string; readonly service: string };
  /** The signing time as text (`20260131T120000Z`), because the text is part of the signed string. */
  readonly timestamp: string;
  readonly signedHeaders: readonly string[];
  /** The SHA-256 of the body in hex, `UNSIGNED-PAYLOAD`, or one of the `STREAMING-…` forms. */
  readonly payloadHash: string;
}

export function signRequest(
  secretAccessKey: string,
  request: S3Request,
  { scope, timestamp, signedHeaders, payloadHash }: Signed,
): string {
  const steps = [scope.date, scope.region, scope.service, 'aws4_request'];
  const key = steps.reduce<Buffer>(
    (secret, step) => createHmac('sha256', secret).update(step).digest(),
    Buffer.from(`AWS4${secretAccessKey}`),
  );
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
  const sha256 = hash('sha256', Buffer.from(canonicalRequest, 'latin1'));
  return createHmac('sha256', key)
    .update([ALGORITHM, timestamp, steps.join('/'), sha256].join('\n'))
    .digest('hex');
}

/** Compares in constant time, so that the duration does not show how much of a forged signature was right. */
export function isSame(a: string, b: string): boolean {
  return timingSafeEqual(hash('sha256', a, 'buffer'), hash('sha256', b, 'buffer'));
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
