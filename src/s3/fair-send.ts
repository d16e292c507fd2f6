import { storageUnavailable } from '../files/file-error.ts';
import { createFairQueue, QueueTimeoutError, waitEnd } from '../overload/fair-queue.ts';
import { SOCKETS_MAX } from './client.ts';
import type { Send } from './send.ts';

/**
 * While all sockets to S3 are taken, operations wait in a fair queue with one line per user. A list verifies
 * up to 300 pending files, 32 at once, so fifty lists of one user would otherwise put 1,600 requests in front
 * of those of all other users.
 *
 * All operations on the sockets of one client must go through one queue. An operation sends its requests one
 * after the other, so it needs one socket, and a running operation never waits for a socket.
 */
export function withFairQueue(send: Send): Send {
  const queue = createFairQueue(SOCKETS_MAX);
  return async (work, operation, request) => {
    try {
      return await queue.run(work.userId ?? '', waitEnd(work.deadline), () => send(work, operation, request));
    } catch (error) {
      throw error instanceof QueueTimeoutError ? storageUnavailable('queue timeout', error) : error;
    }
  };
}
