import { type Deadline, partOf } from '../files/deadline.ts';
import { FileError } from '../files/file-error.ts';
import type { ObjectStore } from '../files/ports.ts';
import { ownerOfKey } from '../files/rules/s3-key.ts';
import { createFairQueue } from '../overload/fair-queue.ts';
import { SOCKETS_MAX } from './client.ts';

/**
 * The part of its remaining time that a request may wait in the fair queue. The rest is for S3's response and
 * for the response to the client. `postgres/connection/database.ts` uses the same share and says why.
 */
const WAIT_SHARE = 2 / 3;

const RETRY_AFTER_MS = 1_000;

/**
 * While all sockets to S3 are taken, requests wait in a fair queue with one line per user. A list verifies up
 * to 300 pending files, 32 at once, so fifty lists of one user would otherwise put 1,600 requests in front of
 * those of all other users.
 */
export function withFairQueue(objects: ObjectStore): ObjectStore {
  const queue = createFairQueue(SOCKETS_MAX);

  async function runInQueue<Result>(
    s3Key: string,
    deadline: Deadline,
    run: () => Promise<Result>,
  ): Promise<Result> {
    let started = false;
    try {
      return await queue.run(ownerOfKey(s3Key) ?? '', partOf(deadline, WAIT_SHARE), () => {
        started = true;
        return run();
      });
    } catch (error) {
      if (started) throw error;
      throw new FileError('STORAGE_UNAVAILABLE', 'too many requests wait for the object storage; retry', {
        retryAfterMs: RETRY_AFTER_MS,
        cause: error,
      });
    }
  }

  return {
    head: (s3Key, deadline) => runInQueue(s3Key, deadline, () => objects.head(s3Key, deadline)),
    remove: (s3Key, deadline) => runInQueue(s3Key, deadline, () => objects.remove(s3Key, deadline)),
  };
}
