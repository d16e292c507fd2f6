/**
 * `src/s3/answers` interprets answers with which S3 refuses a request. `refusals.ts` reads the status and the error
 * code. `explain.ts` finds the reason if the answer has no code. `unusable-answer.ts` is the error for an
 * answer that the service cannot use. Requests do not belong here, except those that only find out why another request
 * was refused.
 */
import { S3ServiceException } from '@aws-sdk/client-s3';
import { RefusalError } from '../../files/refusal-error.ts';

/** The parts of an SDK error that this file reads. The SDK sets them for every answer that has an error status. */
interface AnswerError {
  $metadata?: { httpStatusCode?: number };
  /** Set instead of `$metadata` if the SDK could not parse the answer, for example a page of HTML. */
  $response?: { statusCode?: number; headers?: Record<string, string | undefined> };
  /** The region of the bucket, from the body of the answer. */
  Region?: unknown;
}

/** The form of an error code. Codes become labels of a metric, so a text of any other form is ignored. */
const CODE = /^[A-Za-z][A-Za-z0-9.]{2,63}$/;

/** The names that the SDK gives to errors for answers without an error code. An answer to a HEAD never has a code. */
const NO_CODES = new Set(['Unknown', 'UnknownError', 'NotFound', 'Error']);

/** The statuses with which S3 may refuse one object. Other refusals concern all requests of the service. */
const OBJECT_STATUSES = new Set([400, 403, 405, 409, 412, 414]);

/** Codes that concern all requests of the service, with whatever status they come. */
const SERVICE_CODES = new Set([
  'AccountProblem',
  'AuthorizationHeaderMalformed',
  'AuthorizationQueryParametersError',
  'ExpiredToken',
  'IllegalLocationConstraintException',
  'InvalidAccessKeyId',
  'InvalidSecurity',
  'InvalidToken',
  'NotSignedUp',
  'RequestTimeTooSkewed',
  'SignatureDoesNotMatch',
  'TokenRefreshRequired',
  'XAdminUserNotFound',
]);

/**
 * The operations whose permissions (s3:GetObject, s3:DeleteObject) the service uses for every object. If S3 refuses
 * one of them, the reason may be this object. If S3 refuses another operation, the role probably lacks the permission.
 */
const OBJECT_OPERATIONS = new Set(['HeadObject', 'DeleteObject']);

/**
 * Codes about a multipart upload that a concurrent call has completed, aborted or changed. They are no fault of the
 * configuration, and a retry finds the new state. Ceph RGW answers NoSuchKey instead of NoSuchUpload.
 */
const UPLOAD_CODES = new Set(['NoSuchUpload', 'NoSuchKey', 'InvalidPart']);

/** Whether S3 refused the request because of a concurrent change. */
export function isConcurrentChange(error: unknown): boolean {
  return UPLOAD_CODES.has(codeIn(error));
}

export function statusIn(error: unknown): number | undefined {
  const { $metadata, $response } = (error ?? {}) as AnswerError;
  return $metadata?.httpStatusCode ?? $response?.statusCode;
}

export function codeIn(error: unknown): string {
  const name = error instanceof S3ServiceException ? error.name : '';
  return CODE.test(name) && !NO_CODES.has(name) ? name : '';
}

/**
 * Whether an answer with this status is a refusal. 429 and 5xx are not, because S3 answers them while it is down or
 * overloaded. 501 is one, because the server will never support the request.
 */
export function isRefusedStatus(status: number): boolean {
  return status === 501 || (status >= 300 && status < 500 && status !== 429);
}

/**
 * Converts an error of the SDK to a RefusalError. Returns `undefined` if S3 has not refused the request.
 *
 * @param about whether S3 refused one object or the whole service. Default: decided by status and code
 */
export function toRefusal(
  operation: string,
  error: unknown,
  about?: RefusalError['about'],
): RefusalError | undefined {
  if (error instanceof RefusalError) return error;
  const status = statusIn(error);
  if (status === undefined || !isRefusedStatus(status) || isConcurrentChange(error)) return undefined;
  const code = codeIn(error);
  const refusal = { operation, status, code, about: about ?? aboutOf(operation, status, code) };
  return new RefusalError(sentence(refusal, regionIn(error)), refusal, error);
}

function aboutOf(operation: string, status: number, code: string): RefusalError['about'] {
  // A 404 is about the bucket, because `isConcurrentChange` is asked first: other codes are about a key or an upload.
  if (SERVICE_CODES.has(code) || status < 400 || status === 401 || status === 404) return 'service';
  return OBJECT_OPERATIONS.has(operation) && OBJECT_STATUSES.has(status) ? 'object' : 'operation';
}

function regionIn(error: unknown): string {
  const { Region, $response } = error as AnswerError;
  const region = $response?.headers?.['x-amz-bucket-region'] ?? Region;
  return typeof region === 'string' && /^[a-z0-9-]{1,64}$/.test(region) ? ` (${region})` : '';
}

function sentence(
  { operation, status, code, about }: Omit<RefusalError, keyof Error>,
  region: string,
): string {
  const answer = code === '' ? `${status} without an S3 error code` : `${status} ${code}`;
  return `S3 refused ${operation} with ${answer}: ${adviceFor(status, code, about)}${region}`;
}

const REGION_ADVICE = 'set S3_REGION, and S3_ENDPOINT if it is set, to the region of the bucket';
const SESSION_ADVICE = 'renew the session token or the role of the service';

const ADVICE_BY_CODE: Record<string, string> = {
  AccessDenied:
    'allow the role of the service this action (README.md, "Bucket"), and look for a bucket policy that denies it',
  AuthorizationHeaderMalformed: REGION_ADVICE,
  AuthorizationQueryParametersError: REGION_ADVICE,
  ExpiredToken: SESSION_ADVICE,
  IllegalLocationConstraintException: REGION_ADVICE,
  InvalidAccessKeyId: 'set AWS_ACCESS_KEY_ID, the profile or the role to one that this S3 server knows',
  InvalidToken: SESSION_ADVICE,
  KeyTooLongError: 'use a server that accepts keys of 240 bytes',
  NoSuchBucket:
    'set S3_BUCKET and S3_ENDPOINT to an existing bucket, or create the bucket: npm run doctor prints the command',
  NotImplemented: 'use an S3 server that supports this request',
  PermanentRedirect: REGION_ADVICE,
  RequestTimeTooSkewed: 'set the clock of this host or of the S3 server right',
  SignatureDoesNotMatch:
    'set AWS_SECRET_ACCESS_KEY to the right secret, and let no proxy change the Host header or the path',
  TemporaryRedirect: REGION_ADVICE,
  XAdminUserNotFound: 'set AWS_ACCESS_KEY_ID, the profile or the role to one that this S3 server knows',
};

/** Returns what an operator can do about a refusal, as the end of a sentence. */
export function adviceFor(status: number, code: string, about: RefusalError['about']): string {
  const advice = ADVICE_BY_CODE[code];
  if (advice !== undefined) return advice;
  if (status < 400) return REGION_ADVICE;
  if (status === 403)
    return 'check the credentials, the permissions of their role, and proxies before the S3 server';
  if (status === 501) return 'use an S3 server that supports this request';
  if (code === '')
    return 'set S3_ENDPOINT and S3_FORCE_PATH_STYLE to an S3 server, and check proxies before it';
  return about === 'object'
    ? 'the server refuses this object only; its documentation explains the code'
    : 'the documentation of the S3 server explains the code';
}
