/**
 * Whether a request was signed by someone known here, all of it, and in time. SigV4 in the Authorization header or in the
 * query (presigned URLs); nobody is let in without.
 */

import { S3Error } from '../errors.ts';
import type { S3Request } from '../request.ts';
import { type Claim, readClaim } from './claim.ts';
import { deriveKey, isSame, type Signer, signRequest } from './sigv4.ts';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Set for temporary credentials: every request must then carry it. */
  readonly sessionToken?: string;
}

export interface Authority {
  readonly credentials: readonly Credentials[];
  readonly region: string;
  readonly now: () => Date;
}

/** What the body is held against. */
export interface Authenticated {
  readonly payloadHash: string;
  /** The request's own signature, with which a signed stream's chain of chunk signatures begins. */
  readonly signature: string;
  readonly signer: Signer;
}

/** The clock difference S3 allows between itself and a signer, either way. */
const maxSkewMs = 15 * 60 * 1000;

export function authenticate(request: S3Request, authority: Authority): Authenticated {
  const claim = readClaim(request);
  assertScope(claim, authority.region);
  const credentials = credentialsOf(claim, request, authority.credentials);
  const { scope, timestamp, signedHeaders, payloadHash } = claim;
  const signer = { key: deriveKey(credentials.secretAccessKey, scope), timestamp, scope };
  const signature = signRequest(signer, request, signedHeaders, payloadHash);
  if (!isSame(signature, claim.signature)) {
    throw new S3Error(
      'SignatureDoesNotMatch',
      'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
    );
  }
  // Time and coverage come after the signature, so that their messages speak about what the caller truly signed.
  assertInTime(claim, authority.now());
  assertAllSigned(request, signedHeaders);
  return { payloadHash, signature, signer };
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

/** A presigned URL's life is checked here, when its request starts; how long the upload then takes is its own affair. */
function assertInTime({ signedAtMs, expiresSeconds }: Claim, now: Date): void {
  const ageMs = now.getTime() - signedAtMs;
  const ServerTime = now.toISOString();
  if (expiresSeconds === undefined) {
    if (Math.abs(ageMs) <= maxSkewMs) return;
    const message = 'The difference between the request time and the current time is too large.';
    throw new S3Error('RequestTimeTooSkewed', message, { ServerTime });
  }
  if (ageMs < -maxSkewMs) throw new S3Error('AccessDenied', 'Request is not valid yet', { ServerTime });
  if (ageMs >= expiresSeconds * 1000)
    throw new S3Error('AccessDenied', 'Request has expired', { ServerTime });
}

/** S3 acts on `x-amz-*` headers, so one that the signer never saw is refused: it could change what was signed. */
function assertAllSigned({ headers }: S3Request, signedHeaders: readonly string[]): void {
  const unsigned = [...headers.keys()].filter(
    (name) => (name === 'host' || name.startsWith('x-amz-')) && !signedHeaders.includes(name),
  );
  if (unsigned.length > 0) {
    const message = 'There were headers present in the request which were not signed';
    throw new S3Error('AccessDenied', message, { HeadersNotSigned: unsigned.join(', ') });
  }
  // Signed as absent, a header has the same canonical form as one that is there and empty.
  const absent = signedHeaders.filter((name) => !headers.has(name));
  if (absent.length > 0) {
    throw new S3Error('SignatureDoesNotMatch', `The signed header ${absent.join(', ')} was not sent`);
  }
}
