import { storageUnavailable } from '../files/file-error.ts';
import { createFairQueue, QueueTimeoutError, waitEnd } from '../overload/fair-queue.ts';
import { SOCKETS_MAX } from './client.ts';
import type { Send } from './send.ts';

/**
 * Adds a fair queue (`src/overload/fair-queue.ts`), in which operations wait for a socket to S3 and the users take
 * turns. A call that lists files verifies up to 2,000 pending files, 32 at once. Without the fair queue,
 * fifty such calls of one user would put 1,600 requests in front of the requests of all other users.
 *
 * All operations of an S3 client must share one queue, because they share the sockets of the client. An
 * operation sends its requests one after the other, so it needs one socket. Only the readiness check does not
 * wait in the queue. It must answer within a second, and it sends only a few requests per second.
 */
export function withFairQueue(send: Send): Send {
  const queue = createFairQueue(SOCKETS_MAX);
  return async (work, operation, request) => {
    try {
      return await queue.run(work.userId, waitEnd(work.deadline), () => send(work, operation, request));
    } catch (error) {
      throw error instanceof QueueTimeoutError ? storageUnavailable('queue timeout', error) : error;
    }
  };
}
