/**
 * Reads the fields of a signature, from the Authorization header or from a presigned query, into one form.
 */
import { S3Error } from '../errors.ts';
import type { S3Request } from '../request.ts';
import { ALGORITHM, type Signed } from './sigv4.ts';

/** The fields of a signature. None of them is verified yet; authenticate.ts does that. */
export interface Claim extends Signed {
  readonly accessKeyId: string;
  readonly signedAtMs: number;
  readonly signature: string;
  /** The lifetime of a presigned request. Undefined for a signature in a header, which has no lifetime. */
  readonly expiresSeconds: number | undefined;
  /** Makes the error for a wrong field. S3 uses different errors for the header and for the query. */
  readonly refuse: Refuse;
}

type Refuse = (message: string, details?: Record<string, string>) => S3Error;

/** The longest lifetime of a presigned URL: seven days, as long as a signing key of SigV4 can be valid. */
const EXPIRES_MAX_SECONDS = 604_800;

export function readClaim(request: S3Request): Claim {
  const authorization = request.headers.get('authorization');
  const inQuery = (...names: string[]) => request.query.some(([name]) => names.includes(name));
  if (inQuery('AWSAccessKeyId') || authorization?.startsWith('AWS ')) {
    const message = `The authorization mechanism you have provided is not supported. Please use ${ALGORITHM}.`;
    throw new S3Error('InvalidRequest', message);
  }
  const presigned = inQuery('X-Amz-Algorithm', 'X-Amz-Signature');
  if (authorization === undefined) {
    if (presigned) return queryClaim(request);
    throw new S3Error('AccessDenied', 'Access Denied');
  }
  if (presigned) throw new S3Error('InvalidArgument', 'Only one auth mechanism allowed');
  return headerClaim(request, authorization);
}

function headerClaim({ headers }: S3Request, authorization: string): Claim {
  const refuse: Refuse = (message, details) =>
    new S3Error('AuthorizationHeaderMalformed', `The authorization header is malformed; ${message}`, details);
  if (!authorization.startsWith(`${ALGORITHM} `)) {
    throw new S3Error('InvalidArgument', 'Unsupported Authorization Type');
  }
  const fields = authorization
    .slice(ALGORITHM.length)
    .split(',')
    .map((field) => field.trim());
  const field = (name: string): string => {
    const value = fields.find((each) => each.startsWith(`${name}=`))?.slice(name.length + 1);
    if (!value) throw refuse(`missing ${name}.`);
    return value;
  };
  const payloadHash = headers.get('x-amz-content-sha256');
  if (payloadHash === undefined) {
    throw new S3Error('InvalidRequest', 'Missing required header for this request: x-amz-content-sha256');
  }
  return {
    ...readCredential(field('Credential'), refuse),
    ...readTimestamp(headers.get('x-amz-date')),
    signedHeaders: readSignedHeaders(field('SignedHeaders'), refuse),
    signature: field('Signature'),
    payloadHash,
    expiresSeconds: undefined,
    refuse,
  };
}

function queryClaim({ query, amz }: S3Request): Claim {
  const refuse: Refuse = (message, details) =>
    new S3Error('AuthorizationQueryParametersError', message, details);
  const field = (name: string): string => {
    const [found, second] = query.filter(([each]) => each === name);
    if (found === undefined || second !== undefined) {
      throw refuse(
        'Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, ' +
          'X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters, each once.',
      );
    }
    return found[1];
  };
  if (field('X-Amz-Algorithm') !== ALGORITHM) throw refuse(`X-Amz-Algorithm only supports "${ALGORITHM}"`);
  const expires = field('X-Amz-Expires');
  if (!/^[1-9][0-9]{0,6}$/.test(expires) || Number(expires) > EXPIRES_MAX_SECONDS) {
    throw refuse(`X-Amz-Expires must be between 1 and ${EXPIRES_MAX_SECONDS} seconds`);
  }
  return {
    ...readCredential(field('X-Amz-Credential'), refuse),
    ...readTimestamp(field('X-Amz-Date')),
    signedHeaders: readSignedHeaders(field('X-Amz-SignedHeaders'), refuse),
    signature: field('X-Amz-Signature'),
    payloadHash: amz.get('x-amz-content-sha256') ?? 'UNSIGNED-PAYLOAD',
    expiresSeconds: Number(expires),
    refuse,
  };
}

/** Reads the scope from the end of the credential, because the access key before it can contain slashes. */
function readCredential(credential: string, refuse: Refuse): Pick<Claim, 'accessKeyId' | 'scope'> {
  const parts = credential.split('/');
  const [date, region, service, terminator] = parts.slice(-4);
  const accessKeyId = parts.slice(0, -4).join('/');
  if (!accessKeyId || !date || !region || !service || terminator !== 'aws4_request') {
    throw refuse(
      'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
    );
  }
  return { accessKeyId, scope: { date, region, service } };
}

/**
 * Refuses a list that names a header twice. The store hashes every listed header before it can compare the signature.
 * So a request of 15 kB that listed its header of 9 kB 2,800 times cost 86 ms of CPU.
 */
function readSignedHeaders(list: string, refuse: Refuse): readonly string[] {
  const names = list.split(';');
  if (new Set(names).size < names.length) throw refuse('SignedHeaders names a header twice.');
  return names;
}

function readTimestamp(timestamp = ''): Pick<Claim, 'timestamp' | 'signedAtMs'> {
  const [, ...fields] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(timestamp) ?? [];
  const [year = 0, month = 0, day, hour, minute, second] = fields.map(Number);
  if (fields.length === 0) {
    throw new S3Error('AccessDenied', 'AWS authentication requires a valid Date or x-amz-date header');
  }
  return { timestamp, signedAtMs: Date.UTC(year, month - 1, day, hour, minute, second) };
}
