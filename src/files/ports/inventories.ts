import type { Call } from '../call.ts';
import type { FileRef } from '../file.ts';
import type { S3Key } from '../rules/s3-key.ts';

/** The fields of a row that can be compared with an object. */
export interface ListedRow extends FileRef {
  state: 'ready' | 'pending' | 'deleted';
  size: number;
  /** Empty unless READY. */
  etag: string;
}

/** The whole table, for `reconcile`. */
export interface RowInventory {
  /** Every row of every user as of one moment, in the byte order of the keys. Reads one page at a time. */
  scan(): AsyncIterable<ListedRow>;
  /** Whether a row has this key; a tombstone counts. */
  has(call: Call, s3Key: S3Key): Promise<boolean>;
  /**
   * Whether a row is responsible for the multipart uploads under this key, and has them removed if they are
   * not completed.
   */
  ownsUploads(call: Call, s3Key: S3Key): Promise<boolean>;
}

export interface ListedObject {
  /** Any writer of the bucket may have chosen it. */
  s3Key: string;
  size: number;
  etag: string;
  lastModified: Date;
}

/** A multipart upload that is neither completed nor aborted. */
export interface ListedUpload {
  /** Any writer of the bucket may have chosen it. */
  s3Key: string;
  uploadId: string;
  initiated: Date;
}

/** The whole bucket, for `reconcile`. */
export interface BucketInventory {
  /**
   * Every object in the byte order of the keys. Reads one page at a time. @throws FileError
   * STORAGE_UNAVAILABLE
   */
  list(): AsyncIterable<ListedObject>;
  /** Every unfinished multipart upload, in the same order. */
  uploads(): AsyncIterable<ListedUpload>;
}
