/** Why an operation could not be done. The names are those of `files.v1.ErrorReason`. */
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
  /** The request field at fault, by its proto name. */
  field?: string;
  /** Every value that the message names, for programs. */
  metadata?: Record<string, string>;
  /** When a retry is worth it, in milliseconds from now. */
  retryAfterMs?: number;
  /** The original fault. It is logged and never sent. */
  cause?: unknown;
}

/**
 * The one error of the domain. Its message goes to the caller as it is, so it
 * names the field, the rule and the reason, and nothing of the inside.
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
 * "Not yours" and "does not exist" are one answer, byte for byte: the message
 * repeats nothing but what the caller sent. No key has a query. Who sends one has
 * taken a URL for its key, and whoever logs the answer is not to have its signature.
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
    `the bucket holds other bytes under ${JSON.stringify(s3Key)} than were announced, or holds them with a Content-Encoding; ask for the upload again and repeat the PUT, with the required headers alone`,
    { metadata: { s3_key: s3Key } },
  );
}
