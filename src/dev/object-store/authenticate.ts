/**
 * Who sent a request, and whether they signed all of it. SigV4 in the Authorization header or in the query (presigned
 * URLs); nobody is let in without.
 */
import { S3Error } from './errors.ts';
import type { S3Request } from './request.ts';
import { algorithm, deriveKey, isSame, type Scope, type Signer, signRequest } from './sigv4.ts';

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

export interface Authenticated {
  /** What was signed about the body: its SHA-256 in hex, `UNSIGNED-PAYLOAD`, or one of the `STREAMING-…` forms. */
  readonly payloadHash: string;
  /** The request's signature, with which a signed stream's chain of chunk signatures begins. */
  readonly signature: string;
  readonly signer: Signer;
}

/** The clock difference S3 allows between itself and a signer, either way. */
const maxSkewMs = 15 * 60 * 1000;

/** The longest life of a presigned URL: seven days, as long as SigV4's derived key can live. */
const maxExpiresSeconds = 604_800;

/** What either form of signature says about itself. */
interface Claim {
  readonly credential: string;
  readonly signedHeaders: string;
  readonly signature: string;
  readonly timestamp: string;
  readonly payloadHash: string;
  /** Seconds from the timestamp, for presigned requests. */
  readonly expiresSeconds: number | undefined;
  readonly refuse: (message: string, details?: Record<string, string>) => S3Error;
}

export function authenticate(request: S3Request, authority: Authority): Authenticated {
  const claim = readClaim(request);
  const signedAt = parseTimestamp(claim.timestamp);
  if (signedAt === undefined) {
    throw new S3Error('AccessDenied', 'AWS authentication requires a valid Date or x-amz-date header');
  }
  const [accessKeyId, scope] = readCredential(claim);
  if (scope.date !== claim.timestamp.slice(0, 8))
    throw claim.refuse(`Invalid credential date "${scope.date}".`);
  if (scope.region !== authority.region) {
    const message = `the region '${scope.region}' is wrong; expecting '${authority.region}'`;
    throw claim.refuse(message, { Region: authority.region });
  }
  if (scope.service !== 's3')
    throw claim.refuse(`incorrect service "${scope.service}". This endpoint belongs to "s3".`);

  const found = authority.credentials.find((each) => isSame(each.accessKeyId, accessKeyId));
  if (found === undefined) {
    throw new S3Error(
      'InvalidAccessKeyId',
      'The AWS Access Key Id you provided does not exist in our records.',
      {
        AWSAccessKeyId: accessKeyId,
      },
    );
  }
  if (!isSame(found.sessionToken ?? '', request.amz.get('x-amz-security-token') ?? '')) {
    throw new S3Error('InvalidToken', 'The provided token is malformed or otherwise invalid.');
  }

  const signedHeaders = claim.signedHeaders.split(';');
  const signer = { key: deriveKey(found.secretAccessKey, scope), timestamp: claim.timestamp, scope };
  const expected = signRequest(signer, request, signedHeaders, claim.payloadHash);
  if (!isSame(expected, claim.signature)) {
    throw new S3Error(
      'SignatureDoesNotMatch',
      'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
    );
  }
  // Time and coverage come after the signature, so that their messages speak about what the caller truly signed.
  assertInTime(claim, signedAt, authority.now());
  assertAllSigned(request, signedHeaders);
  return { payloadHash: claim.payloadHash, signature: expected, signer };
}

function readClaim(request: S3Request): Claim {
  const authorization = request.headers.get('authorization');
  const presigned = request.query.some(([name]) => name === 'X-Amz-Algorithm' || name === 'X-Amz-Signature');
  const version2 =
    request.query.some(([name]) => name === 'AWSAccessKeyId') || authorization?.startsWith('AWS ');
  if (version2) {
    throw new S3Error(
      'InvalidRequest',
      `The authorization mechanism you have provided is not supported. Please use ${algorithm}.`,
    );
  }
  if (authorization !== undefined && presigned) {
    throw new S3Error('InvalidArgument', 'Only one auth mechanism allowed');
  }
  if (authorization !== undefined) return headerClaim(request, authorization);
  if (presigned) return queryClaim(request);
  throw new S3Error('AccessDenied', 'Access Denied');
}

function headerClaim(request: S3Request, authorization: string): Claim {
  const refuse = (message: string, details?: Record<string, string>) =>
    new S3Error('AuthorizationHeaderMalformed', `The authorization header is malformed; ${message}`, details);
  if (!authorization.startsWith(`${algorithm} `))
    throw new S3Error('InvalidArgument', 'Unsupported Authorization Type');
  const fields = new Map(
    authorization
      .slice(algorithm.length)
      .split(',')
      .map((field) => {
        const [name = '', ...value] = field.trim().split('=');
        return [name, value.join('=')];
      }),
  );
  const field = (name: string): string => {
    const value = fields.get(name);
    if (value === undefined || value === '') throw refuse(`missing ${name}.`);
    return value;
  };
  const payloadHash = request.headers.get('x-amz-content-sha256');
  if (payloadHash === undefined) {
    throw new S3Error('InvalidRequest', 'Missing required header for this request: x-amz-content-sha256');
  }
  return {
    credential: field('Credential'),
    signedHeaders: field('SignedHeaders'),
    signature: field('Signature'),
    timestamp: request.headers.get('x-amz-date') ?? '',
    payloadHash,
    expiresSeconds: undefined,
    refuse,
  };
}

function queryClaim(request: S3Request): Claim {
  const refuse = (message: string, details?: Record<string, string>) =>
    new S3Error('AuthorizationQueryParametersError', message, details);
  const field = (name: string): string => {
    const [value, second] = request.query.filter(([each]) => each === name).map(([, each]) => each);
    if (value === undefined || second !== undefined) {
      throw refuse(
        'Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, ' +
          'X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters, each once.',
      );
    }
    return value;
  };
  if (field('X-Amz-Algorithm') !== algorithm) throw refuse(`X-Amz-Algorithm only supports "${algorithm}"`);
  const expires = field('X-Amz-Expires');
  if (!/^[1-9][0-9]{0,6}$/.test(expires) || Number(expires) > maxExpiresSeconds) {
    throw refuse(`X-Amz-Expires must be between 1 and ${maxExpiresSeconds} seconds`);
  }
  return {
    credential: field('X-Amz-Credential'),
    signedHeaders: field('X-Amz-SignedHeaders'),
    signature: field('X-Amz-Signature'),
    timestamp: field('X-Amz-Date'),
    payloadHash: request.amz.get('x-amz-content-sha256') ?? 'UNSIGNED-PAYLOAD',
    expiresSeconds: Number(expires),
    refuse,
  };
}

/** The access key may itself contain slashes, so the scope is read from the end. */
function readCredential({ credential, refuse }: Claim): [accessKeyId: string, scope: Scope] {
  const parts = credential.split('/');
  const [date, region, service, terminator] = parts.slice(-4);
  const accessKeyId = parts.slice(0, -4).join('/');
  if (!accessKeyId || !date || !region || !service || terminator !== 'aws4_request') {
    throw refuse(
      'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
    );
  }
  return [accessKeyId, { date, region, service }];
}

/** A presigned URL's life is checked here, when its request starts; how long the upload then takes is its own affair. */
function assertInTime(claim: Claim, signedAt: number, now: Date): void {
  const aheadMs = signedAt - now.getTime();
  if (claim.expiresSeconds === undefined) {
    if (Math.abs(aheadMs) > maxSkewMs) {
      const message = 'The difference between the request time and the current time is too large.';
      throw new S3Error('RequestTimeTooSkewed', message, { ServerTime: now.toISOString() });
    }
    return;
  }
  if (aheadMs > maxSkewMs) throw new S3Error('AccessDenied', 'Request is not valid yet');
  if (-aheadMs >= claim.expiresSeconds * 1000) {
    throw new S3Error('AccessDenied', 'Request has expired', { ServerTime: now.toISOString() });
  }
}

/** S3 acts on `x-amz-*` headers, so one that the signer never saw is refused: it could change what was signed. */
function assertAllSigned(request: S3Request, signedHeaders: readonly string[]): void {
  const signed = new Set(signedHeaders);
  const mustBeSigned = [...request.headers.keys()].filter(
    (name) => name === 'host' || name.startsWith('x-amz-'),
  );
  const unsigned = mustBeSigned.filter((name) => !signed.has(name));
  if (unsigned.length > 0) {
    throw new S3Error('AccessDenied', 'There were headers present in the request which were not signed', {
      HeadersNotSigned: unsigned.join(', '),
    });
  }
  // A header signed as absent would have the canonical form of an empty one.
  const absent = signedHeaders.filter((name) => !request.headers.has(name));
  if (absent.length > 0) {
    throw new S3Error('SignatureDoesNotMatch', `The signed header ${absent.join(', ')} was not sent`);
  }
}

function parseTimestamp(timestamp: string): number | undefined {
  const iso = timestamp.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6.000Z');
  const milliseconds = iso === timestamp ? Number.NaN : Date.parse(iso);
  return Number.isNaN(milliseconds) ? undefined : milliseconds;
}
