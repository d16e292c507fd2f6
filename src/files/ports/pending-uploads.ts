import type { Call } from '../call.ts';
import type { PendingFile } from '../file.ts';
import type { AnnouncedParts } from '../rules/parts.ts';
import type { S3Key } from '../rules/s3-key.ts';

/** A multipart upload that is pending. */
export interface PendingUpload {
  file: PendingFile;
  parts: AnnouncedParts;
  /** The id that S3 gave the upload; `undefined` until that id is committed. */
  uploadId: string | undefined;
}

/** Part of `FileStore`: what a row knows about its multipart upload in S3. */
export interface PendingUploads {
  /**
   * Returns a pending multipart upload; `undefined` if the file is not pending, not multipart, or does not
   * exist.
   */
  findUpload(call: Call, s3Key: S3Key): Promise<PendingUpload | undefined>;

  /**
   * Like `findUpload`, and starts the upload's lifetime again. Also `undefined` if the lifetime was over and
   * another upload has taken the pending slot. Only a new `reserve` keeps the upload then, if a slot is free.
   */
  renewUpload(call: Call, s3Key: S3Key): Promise<PendingUpload | undefined>;

  /**
   * Commits the id that S3 gave a pending upload. Returns `true` also if a concurrent call has committed the
   * same id. `false`: the row has an id that is neither `uploadId` nor `before`, or the file is not pending.
   */
  setUploadId(call: Call, s3Key: S3Key, uploadId: string, before: string | undefined): Promise<boolean>;
}
