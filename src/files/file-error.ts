/** Why an operation failed. The names are those of `files.v1.ErrorReason`. */
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
  | 'FILE_NOT_FOUND'
  | 'UPLOAD_INCOMPLETE'
  | 'CONTENT_MISMATCH'
  | 'UPLOAD_COMPLETE'
  | 'TOO_MANY_PENDING_UPLOADS'
  | 'QUOTA_EXCEEDED'
  | 'OVERLOADED'
  | 'DATABASE_UNAVAILABLE'
  | 'STORAGE_UNAVAILABLE';

interface FileErrorOptions {
  /** The request field that is wrong, by its proto name. */
  field?: string;
  /** Every value that the message contains, for programs. */
  metadata?: Record<string, string>;
  /** When to retry, in milliseconds from now. */
  retryAfterMs?: number;
  /** The original error. It is logged and never sent to the caller. */
  cause?: unknown;
}

/**
 * The only error type of the domain. Its message is sent to the caller unchanged, so the message names the
 * field, the rule and the reason, and contains no internals.
 */
export class FileError extends Error {
  override readonly name = 'FileError';
  readonly reason: Reason;
  readonly field: string | undefined;
  readonly metadata: Record<string, string>;
  readonly retryAfterMs: number | undefined;

  constructor(reason: Reason, message: string, options: FileErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    this.field = options.field;
    this.metadata = options.metadata ?? {};
    this.retryAfterMs = options.retryAfterMs;
  }
}

/**
 * The error for a missing file and for another user's file. Both get the same answer, byte for byte, so the
 * message repeats only what the caller sent.
 *
 * A key never contains a query. A caller that sends one has sent a presigned URL instead of its key, so the
 * query is cut off: logs of the answer must not contain the signature.
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
    `the bucket holds other bytes under ${JSON.stringify(s3Key)} than the caller announced, or holds them with a Content-Encoding; create the upload again and repeat the PUT with only the required headers`,
    { metadata: { s3_key: s3Key } },
  );
}
