import type { Call } from '../call.ts';
import type { StoredObject } from '../file.ts';
import type { S3Key } from '../rules/s3-key.ts';

/**
 * The store of the files' bytes, which is S3. The errors below hold for every method.
 *
 * @throws FileError STORAGE_UNAVAILABLE if S3 does not answer by the deadline, is down or overloaded (5xx, 429), or
 *   leaves out what the service needs
 * @throws FileError STORAGE_REFUSED if S3 answers and refuses the request. Its cause is a RefusalError
 *   (../refusal-error.ts), which says whether the refusal is about this object or about the service
 * @throws DeadlineExceededError if no time was left to send the request: nothing has happened
 */
export interface ObjectStore {
  /**
   * Returns what S3 reports about the object; `undefined` if no object has this key.
   *
   * @param confirmMissing whether `undefined` must be certain. Otherwise it may be wrong for some seconds after the
   *   bucket or the access key was removed. Default: false
   */
  head(call: Call, s3Key: S3Key, confirmMissing?: boolean): Promise<StoredObject | undefined>;

  /** Removes the object. Removing a missing object succeeds, also under a key that the server does not accept. */
  remove(call: Call, s3Key: S3Key): Promise<void>;
}
