/**
 * `src/dev/object-store/signatures` checks the AWS Signature Version 4 of requests. The signature is in the
 * Authorization header or in the query (presigned URLs). `authenticate` accepts a request only if its signature was
 * made with a known key, has not expired, and covers the headers that S3 acts on. There is no anonymous access.
 *
 * Checks of the body's digests do not belong here but in `../integrity.ts`. No file checks rights, because every
 * known key may do everything.
 */

import { S3Error } from '../errors.ts';
import type { S3Request } from '../request.ts';
import { type Claim, readClaim } from './claim.ts';
import { isSame, signRequest } from './sigv4.ts';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Only temporary credentials have a token. Every request that is signed with them must contain it. */
  readonly sessionToken?: string;
}

export interface Authority {
  readonly credentials: readonly Credentials[];
  readonly region: string;
  readonly now: () => Date;
}

/** The clock difference that S3 allows between itself and a signer, in either direction: 15 minutes. */
const SKEW_MAX_MS = 15 * 60 * 1000;

/** Returns what the request claims about its signature, if the claim is true. @throws S3Error if it is false */
export function authenticate(request: S3Request, authority: Authority): Claim {
  const claim = readClaim(request);
  assertScope(claim, authority.region);
  const { secretAccessKey } = credentialsOf(claim, request, authority.credentials);
  if (!isSame(signRequest(secretAccessKey, request, claim), claim.signature)) {
    throw new S3Error(
      'SignatureDoesNotMatch',
      'The request signature we calculated does not match the signature you provided. Check your key and ' +
        'signing method.',
    );
  }
  // The time and the list of signed headers are checked after the signature. So the messages of these checks name
  // values that the caller really signed.
  assertInTime(claim, authority.now());
  assertAllSigned(request, claim.signedHeaders);
  return claim;
}

function assertScope({ scope, timestamp, refuse }: Claim, region: string): void {
  if (timestamp.slice(0, 8) !== scope.date) throw refuse(`Invalid credential date "${scope.date}".`);
  if (scope.region !== region) {
    throw refuse(`the region '${scope.region}' is wrong; expecting '${region}'`, { Region: region });
  }
  if (scope.service !== 's3') {
    throw refuse(`incorrect service "${scope.service}". This endpoint belongs to "s3".`);
  }
}

function credentialsOf(
  { accessKeyId }: Claim,
  { amz }: S3Request,
  known: readonly Credentials[],
): Credentials {
  const found = known.find((each) => isSame(each.accessKeyId, accessKeyId));
  if (found === undefined) {
    const message = 'The AWS Access Key Id you provided does not exist in our records.';
    throw new S3Error('InvalidAccessKeyId', message, { AWSAccessKeyId: accessKeyId });
  }
  if (!isSame(found.sessionToken ?? '', amz.get('x-amz-security-token') ?? '')) {
    throw new S3Error('InvalidToken', 'The provided token is malformed or otherwise invalid.');
  }
  return found;
}

/**
 * The expiry of a presigned URL is checked when its request starts. The upload itself may take longer, as in
 * S3.
 */
function assertInTime({ signedAtMs, expiresSeconds }: Claim, now: Date): void {
  const ageMs = now.getTime() - signedAtMs;
  const ServerTime = now.toISOString();
  if (expiresSeconds === undefined) {
    if (Math.abs(ageMs) <= SKEW_MAX_MS) return;
    const message = 'The difference between the request time and the current time is too large.';
    throw new S3Error('RequestTimeTooSkewed', message, { ServerTime });
  }
  if (ageMs < -SKEW_MAX_MS) throw new S3Error('AccessDenied', 'Request is not valid yet', { ServerTime });
  if (ageMs >= expiresSeconds * 1000)
    throw new S3Error('AccessDenied', 'Request has expired', { ServerTime });
}

/**
 * Refuses a request whose `host` header or one of whose `x-amz-*` headers is not signed. S3 acts on these headers,
 * so an unsigned header could change the meaning of the signed request.
 */
function assertAllSigned({ headers }: S3Request, signedHeaders: readonly string[]): void {
  const unsigned = [...headers.keys()].filter(
    (name) => (name === 'host' || name.startsWith('x-amz-')) && !signedHeaders.includes(name),
  );
  if (unsigned.length > 0) {
    const message = 'There were headers present in the request which were not signed';
    throw new S3Error('AccessDenied', message, { HeadersNotSigned: unsigned.join(', ') });
  }
  // The signature of a request without a header is the same as the signature of a request in which that header is
  // empty. So the check of the signature does not notice that a signed header is absent. This check refuses it.
  const absent = signedHeaders.filter((name) => !headers.has(name));
  if (absent.length > 0) {
    throw new S3Error('SignatureDoesNotMatch', `The signed header ${absent.join(', ')} was not sent`);
  }
}
