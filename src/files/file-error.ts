/** Why an operation failed. The names are those of the enum `files.v1.ErrorReason` in the proto. */
export type Reason =
  | 'USER_ID_MISSING'
  | 'USER_ID_INVALID'
  | 'GATEWAY_UNTRUSTED'
  | 'INVALID_FILENAME'
  | 'INVALID_MIME_TYPE'
  | 'INVALID_MD5'
  | 'INVALID_SIZE'
  | 'FILE_TOO_LARGE'
  | 'INVALID_PAGE_SIZE'
  | 'INVALID_PAGE_TOKEN'
  | 'INVALID_S3_KEY'
  | 'INVALID_PARTS'
  | 'INVALID_BATCH_SIZE'
  | 'FILE_NOT_FOUND'
  | 'UPLOAD_INCOMPLETE'
  | 'CONTENT_MISMATCH'
  | 'UPLOAD_COMPLETE'
  | 'TOO_MANY_PENDING_UPLOADS'
  | 'QUOTA_EXCEEDED'
  | 'OVERLOADED'
  | 'DATABASE_UNAVAILABLE'
  | 'STORAGE_UNAVAILABLE'
  | 'STORAGE_REFUSED';

/** A wrong field of a request. */
interface Violation {
  /** The proto name of the field. */
  field: string;
  message: string;
  reason: Reason;
}

interface FileErrorOptions {
  /** The proto name of the request field that is wrong. */
  field?: string;
  /** All wrong fields, if there are several. If this is set, `field` is ignored. */
  violations?: readonly Violation[];
  /** The values that the message contains, so that a program need not parse the message. */
  metadata?: Record<string, string>;
  /** When to retry, in milliseconds from now. */
  retryAfterMs?: number;
  /** The original error. It is logged and never sent to the caller. */
  cause?: unknown;
}

/**
 * The error that the operations of `src/files` throw. The caller gets the message unchanged, so the message names the
 * field, the rule and the reason, and tells no internals of the service.
 */
export class FileError extends Error {
  override readonly name = 'FileError';
  readonly reason: Reason;
  readonly violations: readonly Violation[];
  readonly metadata: Record<string, string>;
  readonly retryAfterMs: number | undefined;

  constructor(reason: Reason, message: string, options: FileErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    const { field, violations = field === undefined ? [] : [{ field, message, reason }] } = options;
    this.violations = violations;
    this.metadata = options.metadata ?? {};
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** Returns the error with other names of its fields, for a request that is an item of a batch. */
export function withFields(error: FileError, rename: (field: string) => string): FileError {
  const { reason, message, metadata, retryAfterMs, cause } = error;
  const violations = error.violations.map((violation) => ({ ...violation, field: rename(violation.field) }));
  return new FileError(reason, message, {
    violations,
    metadata,
    cause,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });
}

/**
 * The error for a missing file and for another user's file. Both get the same answer, byte for byte, so the
 * message repeats only what the caller sent.
 *
 * A key never contains a query (`?…`). A caller that sends a query has sent a presigned URL instead of its key. The
 * query contains the URL's signature, which must not get into logs of the answer, so the query is cut off.
 */
export function fileNotFound(s3Key: string): FileError {
  const named = s3Key.replace(/\?.*/s, '?…');
  return new FileError('FILE_NOT_FOUND', `no file has the key ${JSON.stringify(named)}`, {
    metadata: { s3_key: named },
  });
}

export function contentMismatch(s3Key: string): FileError {
  return new FileError(
    'CONTENT_MISMATCH',
    `the bucket holds other bytes under ${JSON.stringify(s3Key)} than the caller announced, or holds them with a Content-Encoding or another Content-Type; create the upload again and repeat the PUT with only the required headers`,
    { metadata: { s3_key: s3Key } },
  );
}

export function uploadIncomplete(s3Key: string): FileError {
  return new FileError(
    'UPLOAD_INCOMPLETE',
    `the bytes of ${JSON.stringify(s3Key)} have not been uploaded yet`,
    {
      metadata: { s3_key: s3Key },
    },
  );
}

/** How many part numbers an error lists at most. The proto documents this bound. */
const NAMED_PARTS_MAX = 100;

/** @param missing the numbers of the missing parts, at least one */
export function partsMissing(s3Key: string, missing: number[]): FileError {
  return new FileError(
    'UPLOAD_INCOMPLETE',
    `${missing.length} parts of ${JSON.stringify(s3Key)} have not been uploaded yet, for example part ${missing[0]}; CreateMultipartUpload returns the numbers of all missing parts`,
    {
      metadata: {
        s3_key: s3Key,
        missing_parts: String(missing.length),
        missing_part_numbers: named(missing),
      },
    },
  );
}

export function partsMismatch(s3Key: string, wrong: number[]): FileError {
  return new FileError(
    'CONTENT_MISMATCH',
    `the bucket holds other bytes for ${wrong.length} parts of ${JSON.stringify(s3Key)} than the caller announced; upload these parts again`,
    { metadata: { s3_key: s3Key, part_numbers: named(wrong) } },
  );
}

function named(numbers: number[]): string {
  return numbers.slice(0, NAMED_PARTS_MAX).join(',');
}

export function notMultipart(s3Key: string): FileError {
  return new FileError(
    'INVALID_S3_KEY',
    `the file ${JSON.stringify(s3Key)} is uploaded with a single PUT and has no parts`,
    { field: 's3_key', metadata: { s3_key: s3Key } },
  );
}

/**
 * When a caller may retry after a failure that ends by itself: an outage or a moment of overload. With a longer time,
 * callers would still wait when the service works again. With a shorter time, their retries would load a service that
 * does not work yet.
 */
export const RETRY_AFTER_MS = 1_000;

/**
 * The error of a create that was disturbed until its deadline: other calls kept creating and deleting the file, or
 * another session of the database had locked the rows whose slots are free.
 */
export function contention(): FileError {
  return new FileError('OVERLOADED', 'concurrent work kept this file from being created; retry', {
    retryAfterMs: RETRY_AFTER_MS,
  });
}

export function databaseUnavailable(cause: unknown): FileError {
  return new FileError('DATABASE_UNAVAILABLE', 'the database does not answer; retry', {
    retryAfterMs: RETRY_AFTER_MS,
    cause,
  });
}

/** The error when a session of another program locks the file's row or table for longer than a call can wait. */
export function fileLocked(cause: unknown): FileError {
  return new FileError('DATABASE_UNAVAILABLE', 'another session has locked the file in the database; retry', {
    retryAfterMs: RETRY_AFTER_MS,
    cause,
  });
}

const STORAGE_PROBLEMS = {
  'no response': 'the object storage does not answer; retry',
  'queue timeout': 'too many requests wait for the object storage; retry',
  'no credentials': 'the service has no valid credentials for the object storage; retry',
  'concurrent change': 'the upload has changed in the object storage in the meantime; retry',
  'unusable answer': 'the object storage gave an answer that the service cannot use; retry',
};

export function storageUnavailable(problem: keyof typeof STORAGE_PROBLEMS, cause?: unknown): FileError {
  return new FileError('STORAGE_UNAVAILABLE', STORAGE_PROBLEMS[problem], {
    retryAfterMs: RETRY_AFTER_MS,
    cause,
  });
}

/**
 * The error when S3 answers and refuses a request. It has no time for a retry (`retryAfterMs`), because S3 refuses the
 * request until an operator has changed a setting, the bucket or a policy.
 *
 * @param cause its message tells the operator what to do
 */
export function storageRefused(cause: Error): FileError {
  return new FileError(
    'STORAGE_REFUSED',
    'the object storage refuses a request of the service; a retry does not help until an operator of the service has removed the reason, which is in its log',
    { cause },
  );
}
