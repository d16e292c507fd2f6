/**
 * Why an upload failed on the side of the client or of S3. An error of the service is thrown unchanged, as
 * ConnectError. Node's error for a file that cannot be opened or read is thrown unchanged too.
 *
 * - `SOURCE_UNUSABLE`: the source is not a regular file, or it has no name.
 * - `SOURCE_CHANGED`: the file changed after it was hashed. Nothing of it is READY. Retry when the file is at rest.
 * - `STORAGE_REFUSED`: S3 refused a PUT, and would refuse a retry. The message quotes S3.
 * - `STORAGE_UNREACHABLE`: the PUTs failed for the whole of `retryForMs`. Another call resumes where this one stopped.
 */
export type UploadErrorReason =
  | 'SOURCE_UNUSABLE'
  | 'SOURCE_CHANGED'
  | 'STORAGE_REFUSED'
  | 'STORAGE_UNREACHABLE';

export class UploadError extends Error {
  override readonly name = 'UploadError';
  readonly reason: UploadErrorReason;

  constructor(reason: UploadErrorReason, message: string, options?: { cause: unknown }) {
    super(message, options);
    this.reason = reason;
  }
}
