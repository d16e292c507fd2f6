import type { Call } from '../call.ts';
import type { FileRef, ReadyFile, StoredObject } from '../file.ts';
import type { S3Key } from '../rules/s3-key.ts';

/** A deleted file whose key and bytes are not released yet. */
export interface Tombstone extends FileRef {
  /** True if the file was announced as a multipart upload, so S3 may hold parts of it. */
  isMultipart: boolean;
}

/** The metadata of an object that a row keeps. */
export type SeenObject = Pick<StoredObject, 'size' | 'etag' | 'mimeType' | 'lastModified'>;

/**
 * Part of `FileStore`: moves files to another state. With events on, each of these changes makes an event due
 * (`event-queue.ts`) in the same statement: a file that becomes READY, or is READY and has another size, ETag or type in
 * S3; a file that is lost; a file that is deleted, also if it was PENDING; a lost file that expires.
 */
export interface Transitions {
  /**
   * Records that S3 holds the right bytes. A PENDING file becomes READY with the values that S3 reported. A READY
   * file becomes fresh again: its last verification is now. It keeps its `lastModified`, by which pages are ordered.
   * A multipart upload comes due for the sweeper (`../maintenance/sweeper.ts`) once more, a minute after it became
   * READY. `undefined`: the file was deleted in the meantime.
   */
  markReady(call: Call, s3Key: S3Key, seen: SeenObject): Promise<ReadyFile | undefined>;

  /**
   * Does what `markReady` does, for each of these files. Each row changes in one atomic transition. A file that another
   * call is changing at this moment does not change here, and the caller calls `markReady` for it.
   *
   * @returns the files that are READY now
   */
  markReadyMany(call: Call, seen: ReadonlyMap<S3Key, SeenObject>): Promise<ReadyFile[]>;

  /**
   * Records that S3 no longer holds the bytes. A READY file becomes PENDING and `lost` (`PendingFile` in `../file.ts`),
   * under the same key, until it is uploaded again or the sweeper removes it. Nothing changes if a verification that is
   * newer than `verifiedAt` found the object.
   */
  markLost(call: Call, s3Key: S3Key, verifiedAt: Date): Promise<void>;

  /**
   * Deletes the file for its user, even if the later steps in S3 fail. The row stays as a *tombstone* and keeps the key
   * until it is *purgeable*: no URL can write to the key any more (`file-store.ts`). A deleted pending upload still
   * counts towards the limit of pending uploads until its URL has expired. A deleted multipart upload counts until the
   * URLs of its parts have expired, and not for the week in which it could have been resumed. `undefined`: no such file
   * exists, and no failover to a synchronous standby brings it back.
   */
  markDeleted(call: Call, s3Key: S3Key): Promise<Tombstone | undefined>;

  /**
   * Turns a purgeable PENDING file into a deleted file. `undefined`: the file is not PENDING, or is no longer
   * purgeable, or its user uploads it again after a loss whose event was not acknowledged yet. The sweeper may remove
   * the file's bytes from S3 only after this call. From then on, a user who asks for the upload again gets another key,
   * so the removal cannot destroy a new upload.
   */
  expireUpload(call: Call, s3Key: S3Key): Promise<Tombstone | undefined>;
}
