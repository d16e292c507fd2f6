import { type Deadline, partOf } from '../files/deadline.ts';
import { FileError } from '../files/file-error.ts';
import type { ObjectStore } from '../files/ports.ts';
import { ownerOfKey } from '../files/rules/s3-key.ts';
import { createFairQueue } from '../overload/fair-queue.ts';
import { SOCKETS_MAX } from './client.ts';

/** Of its time, for its turn; the rest is for S3's answer, and for the caller's. As at Postgres. */
const WAIT_SHARE = 2 / 3;

const RETRY_AFTER_MS = 1_000;

/**
 * Where all sockets are taken, users take turns at them. A list looks at up to
 * 300 pending uploads: fifty lists of one user would otherwise be 1,600 requests
 * in front of everybody else's.
 */
export function withFairQueue(objects: ObjectStore): ObjectStore {
  const queue = createFairQueue(SOCKETS_MAX);

  async function take<Result>(
    s3Key: string,
    deadline: Deadline,
    run: () => Promise<Result>,
  ): Promise<Result> {
    let begun = false;
    try {
      return await queue.run(ownerOfKey(s3Key) ?? '', partOf(deadline, WAIT_SHARE), () => {
        begun = true;
        return run();
      });
    } catch (error) {
      if (begun) throw error;
      throw new FileError('STORAGE_UNAVAILABLE', 'too much is asked of the object storage; retry', {
        retryAfterMs: RETRY_AFTER_MS,
        cause: error,
      });
    }
  }

  return {
    head: (s3Key, deadline) => take(s3Key, deadline, () => objects.head(s3Key, deadline)),
    remove: (s3Key, deadline) => take(s3Key, deadline, () => objects.remove(s3Key, deadline)),
  };
}
