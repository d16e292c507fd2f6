import { type Deadline, timeLeft } from '../files/deadline.ts';
import { FileError } from '../files/file-error.ts';
import type { Observe } from '../files/ports.ts';

/** Asks S3 one thing, by the deadline. @throws FileError STORAGE_UNAVAILABLE, DeadlineSpent */
export type Send = <Result>(
  operation: string,
  deadline: Deadline,
  call: (options: { abortSignal: AbortSignal }) => Promise<Result>,
) => Promise<Result>;

const RETRY_AFTER_MS = 1_000;

export function createSend(observe: Observe): Send {
  return async (operation, deadline, call) => {
    const abortSignal = AbortSignal.timeout(timeLeft(deadline));
    try {
      return await observe(operation, () => call({ abortSignal }));
    } catch (error) {
      throw new FileError('STORAGE_UNAVAILABLE', 'the object storage does not answer; retry', {
        retryAfterMs: RETRY_AFTER_MS,
        cause: error,
      });
    }
  };
}
