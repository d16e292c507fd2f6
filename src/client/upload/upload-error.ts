/**
 * The reasons for which an upload fails in the client or in S3. An error of the service has no such reason: it is
 * thrown unchanged, as ConnectError. Node's error for a file that cannot be opened or read is thrown unchanged too.
 *
 * - `SOURCE_UNUSABLE`: the source is a directory, FIFO, socket or device, a symbolic link to a file that does not
 *   exist, it has no name, or it is a value of another type, such as a stream. The message
 *   says which.
 * - `SOURCE_CHANGED`: the file changed after it was hashed. The service has no READY file of it.
 *   Retry when the file no longer changes.
 * - `STORAGE_REFUSED`: S3 refused a PUT with a status below 500, and retries did not help or would not help. The
 *   message quotes the answer of S3. Or S3 accepted the bytes, but the file was not READY afterwards.
 * - `STORAGE_UNREACHABLE`: S3 did not answer a PUT or answered a status from 500 on, and so did all retries during
 *   `retryForMs` (an option of `uploadFile` in `upload-file.ts`). Another call of `uploadFile` continues where the
 *   failed call stopped.
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
