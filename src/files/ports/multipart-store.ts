import type { Call } from '../call.ts';
import type { StoredPart } from '../rules/parts.ts';
import type { S3Key } from '../rules/s3-key.ts';

/**
 * Multipart uploads in S3, from their start until they are completed or aborted. Throws the same
 * errors as `ObjectStore` (object-store.ts).
 */
export interface MultipartStore {
  /** @returns the id that S3 gave the upload */
  begin(call: Call, s3Key: S3Key, mimeType: string): Promise<string>;

  /** Ids of all unfinished uploads under exactly this key, whichever client began them. */
  uploadsOf(call: Call, s3Key: S3Key): Promise<string[]>;

  /** The uploaded parts in the order of their numbers; `undefined` if S3 knows no such upload. */
  parts(call: Call, s3Key: S3Key, uploadId: string): Promise<StoredPart[] | undefined>;

  /** Makes the object from the parts. After an error, the caller must check whether the object exists. */
  complete(call: Call, s3Key: S3Key, uploadId: string, parts: readonly StoredPart[]): Promise<void>;

  /** Aborts the upload. Aborting a missing upload succeeds. */
  abort(call: Call, s3Key: S3Key, uploadId: string): Promise<void>;
}
