/**
 * `src/dev/object-store/signatures` is the server's check of AWS Signature Version 4. `authenticate`
 * accepts a request only if a known key signed all of it in time, in the Authorization header or in the
 * query (presigned URLs). There is no anonymous access.
 *
 * The body's digests do not belong here (see ../integrity.ts), nor do rights: every known key may do
 * everything.
 */

import { S3Error } from '../errors.ts';
import type { S3Request } from '../request.ts';
import { type Claim, readClaim } from './claim.ts';
import { isSame, signRequest } from './sigv4.ts';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Set for temporary credentials. Every request must then have the token. */
  readonly sessionToken?: string;
}

export interface Authority {
  readonly credentials: readonly Credentials[];
  readonly region: string;
  readonly now: () => Date;
}

/** The clock difference that S3 allows between itself and a signer, in either direction: 15 minutes. */
const SKEW_MAX_MS = 15 * 60 * 1000;

/** Returns the claim when all of it is true. @throws S3Error otherwise */
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
  // Time and coverage are checked after the signature, so that their messages are about values the caller
  // really signed.
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
 * S3 acts on `x-amz-*` headers. An unsigned one is refused, because it could change the meaning of the
 * request.
 */
function assertAllSigned({ headers }: S3Request, signedHeaders: readonly string[]): void {
  const unsigned = [...headers.keys()].filter(
    (name) => (name === 'host' || name.startsWith('x-amz-')) && !signedHeaders.includes(name),
  );
  if (unsigned.length > 0) {
    const message = 'There were headers present in the request which were not signed';
    throw new S3Error('AccessDenied', message, { HeadersNotSigned: unsigned.join(', ') });
  }
  // A signed header that is absent has the same canonical form as an empty header, so the signature cannot
  // tell.
  const absent = signedHeaders.filter((name) => !headers.has(name));
  if (absent.length > 0) {
    throw new S3Error('SignatureDoesNotMatch', `The signed header ${absent.join(', ')} was not sent`);
  }
}
