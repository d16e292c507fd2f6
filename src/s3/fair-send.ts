import { storageUnavailable } from '../files/file-error.ts';
import { createFairQueue, QueueTimeoutError, waitEnd } from '../overload/fair-queue.ts';
import { SOCKETS_MAX } from './client.ts';
import type { Send } from './send.ts';

/**
 * While all sockets to S3 are taken, operations wait in a fair queue with one line per user. A list verifies
 * up to 300 pending files, 32 at once, so fifty lists of one user would otherwise put 1,600 requests in front
 * of those of all other users.
 *
 * All operations of a client must share one queue, because they share its sockets. An operation sends its
 * requests one after the other, so it needs one socket. Only the readiness check does not wait in the queue:
 * it must answer within a second, and is one request a second.
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
