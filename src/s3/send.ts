import { S3ServiceException } from '@aws-sdk/client-s3';
import { type Deadline, timeLeft } from '../files/deadline.ts';
import { FileError } from '../files/file-error.ts';
import type { ObserveStep } from '../files/ports.ts';
import { type Breaker, noopBreaker, WAITED_LONG_MS } from '../overload/circuit-breaker.ts';

/** Asks S3 one thing, by the deadline. @throws FileError STORAGE_UNAVAILABLE, DeadlineExceededError */
export type Send = <Result>(
  operation: string,
  deadline: Deadline,
  call: (options: { abortSignal: AbortSignal }) => Promise<Result>,
) => Promise<Result>;

const RETRY_AFTER_MS = 1_000;

export function createSend(observe: ObserveStep, breaker: Breaker = noopBreaker): Send {
  return async (operation, deadline, call) => {
    if (breaker.open) throw unavailable(new Error('S3 has not answered for a while: it is not asked'));
    const leftMs = timeLeft(deadline);
    const abortSignal = AbortSignal.timeout(leftMs);
    try {
      const result = await observe(operation, () => call({ abortSignal }));
      breaker.onSuccess();
      return result;
    } catch (error) {
      if (isAboutRequest(error)) breaker.onSuccess();
      // Otherwise it may be the caller who gave up.
      else if (!abortSignal.aborted || leftMs >= WAITED_LONG_MS) breaker.onFailure();
      throw unavailable(error);
    }
  };
}

/** S3 does answer: that this may not be done, or is not so. 429 is what some servers say for 503 SlowDown. */
function isAboutRequest(error: unknown): boolean {
  const status = error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
  return status !== undefined && status >= 400 && status < 500 && status !== 429;
}

function unavailable(cause: unknown): FileError {
  return new FileError('STORAGE_UNAVAILABLE', 'the object storage does not answer; retry', {
    retryAfterMs: RETRY_AFTER_MS,
    cause,
  });
}
