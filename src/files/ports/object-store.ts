import type { Call } from '../call.ts';
import type { StoredObject } from '../file.ts';
import type { S3Key } from '../rules/s3-key.ts';

/**
 * The store of the files' bytes, which is S3. The errors below hold for every method.
 *
 * @throws FileError STORAGE_UNAVAILABLE if S3 does not answer by the deadline, or answers with something that
 *   is not about the object (403, 5xx, a redirect)
 * @throws DeadlineExceededError if no time was left to send the request: nothing has happened
 */
export interface ObjectStore {
  /** Returns what S3 reports about the object; `undefined` if no object has this key. */
  head(call: Call, s3Key: S3Key): Promise<StoredObject | undefined>;

  /** Removes the object. Removing a missing object succeeds. */
  remove(call: Call, s3Key: S3Key): Promise<void>;
}
