import type { Call } from '../call.ts';
import type { PendingFile } from '../file.ts';
import type { AnnouncedParts } from '../rules/parts.ts';
import type { S3Key } from '../rules/s3-key.ts';

/** A multipart upload that is pending. */
export interface PendingUpload {
  file: PendingFile;
  parts: AnnouncedParts;
  /** The id that S3 gave the upload. `undefined` until a call of `setUploadId` has stored the id. */
  uploadId: string | undefined;
}

/** Part of `FileStore`: reads and writes what the row of a file stores about its multipart upload in S3. */
export interface PendingUploads {
  /**
   * Returns a pending multipart upload; `undefined` if the file is not pending, not multipart, or does not
   * exist.
   */
  findUpload(call: Call, s3Key: S3Key): Promise<PendingUpload | undefined>;

  /**
   * Does the same as `findUpload`, and starts the lifetime of the upload again. Also returns `undefined` if
   * the lifetime was over and another upload has taken the place of this one in the limit of the user's pending
   * uploads. Only a new `reserve` (`reservations.ts`) can then keep the upload, if the limit has room.
   */
  renewUpload(call: Call, s3Key: S3Key): Promise<PendingUpload | undefined>;

  /**
   * Stores the id that S3 gave a pending upload. `before` is the id that the caller has read. Returns `true`
   * also if a concurrent call has stored the same id. Returns `false` if the row has an id that is neither
   * `uploadId` nor `before`, or if the file is not pending.
   */
  setUploadId(call: Call, s3Key: S3Key, uploadId: string, before: string | undefined): Promise<boolean>;
}
