import type { Call } from '../call.ts';
import type { FileRef } from '../file.ts';
import type { Fingerprint } from '../rules/fingerprint.ts';
import type { S3Key } from '../rules/s3-key.ts';

/** The fields of a row that can be compared with an object. */
export interface ListedRow extends FileRef {
  state: 'ready' | 'pending' | 'deleted';
  size: number;
  /** Empty unless READY. */
  etag: string;
  /**
   * The time when S3 received the object. For a row that was never READY, the time when the row was created.
   */
  time: Date;
}

/** A file that `npm run reconcile` (`../maintenance/reconcile.ts`) makes from an object that has no row. */
export interface AdoptedFile {
  s3Key: S3Key;
  filename: string;
  mimeType: string;
  fingerprint: Fingerprint;
  size: number;
  etag: string;
  lastModified: Date;
}

/** The whole table, for `reconcile`. */
export interface RowInventory {
  /** Every row of every user as of one moment, in the byte order of the keys. Reads one page at a time. */
  scan(): AsyncIterable<ListedRow>;
  /** Whether a row has this key. A tombstone, which is the row of a deleted file, counts too. */
  has(call: Call, s3Key: S3Key): Promise<boolean>;
  /**
   * Whether a row is responsible for the multipart uploads under this key. If it is, the sweeper
   * (`../maintenance/sweeper.ts`) removes the uploads that are not completed.
   */
  ownsUploads(call: Call, s3Key: S3Key): Promise<boolean>;
  /** The key of the user's READY file with this content; `undefined` if the user has no such file. */
  keyOfContent(call: Call, fingerprint: Fingerprint): Promise<S3Key | undefined>;
  /**
   * Creates a READY row. The lifetime of its URLs begins now, because URLs for the file's earlier row, which the table
   * has lost, may still be valid. Returns `false`, and changes nothing, if a row has the key or another file of the
   * user has the content.
   */
  adopt(call: Call, file: AdoptedFile): Promise<boolean>;
}

export interface ListedObject {
  /** Any text: other programs that write to the bucket choose their own keys. */
  s3Key: string;
  size: number;
  etag: string;
  lastModified: Date;
}

/** A multipart upload that is neither completed nor aborted. */
export interface ListedUpload {
  /** Any text: other programs that write to the bucket choose their own keys. */
  s3Key: string;
  uploadId: string;
  initiated: Date;
}

/** The whole bucket, for `reconcile`. */
export interface BucketInventory {
  /**
   * Every object in the byte order of the keys. Reads one page at a time.
   *
   * @throws Error if S3 does not answer, lists keys out of order, leaves out a field of an object, or repeats the
   *   marker of a page. The list is then incomplete.
   */
  list(): AsyncIterable<ListedObject>;
  /** Every unfinished multipart upload. @throws Error in the same cases as `list` */
  uploads(): AsyncIterable<ListedUpload>;
}
