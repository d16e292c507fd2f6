/**
 * Why an upload could not be made, where it was not the service that refused it: its errors come as they are, as
 * ConnectError, and so do Node's own of a file that cannot be opened or read.
 *
 * - `SOURCE_UNUSABLE`: not a regular file, or nothing says what it is called.
 * - `SOURCE_CHANGED`: the file is not what was hashed any more. Nothing of it is READY; begin again when it rests.
 * - `STORAGE_REFUSED`: S3 refused a PUT in a way that will be the same the next time; the message has its words.
 * - `STORAGE_UNREACHABLE`: PUTs failed for as long as they were to be tried. Calling again goes on where it stopped.
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
