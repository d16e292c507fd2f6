import { S3ServiceException } from '@aws-sdk/client-s3';
import type { Work } from '../files/call.ts';
import { timeLeft } from '../files/deadline.ts';
import { storageUnavailable } from '../files/file-error.ts';
import type { ObserveStep } from '../files/ports/observer.ts';
import { type Breakers, noopBreakers, WAITED_LONG_MS } from '../overload/circuit-breaker.ts';

/**
 * Runs one operation on S3, until the deadline at the latest.
 *
 * @throws FileError STORAGE_UNAVAILABLE when the operation fails, or when the breaker is open
 * @throws DeadlineExceededError when the deadline has already passed: nothing is sent
 */
export type Send = <Result>(
  work: Work,
  operation: string,
  request: (options: { abortSignal: AbortSignal }) => Promise<Result>,
) => Promise<Result>;

const BREAKER_OPEN = 'the request was not sent, because S3 did not answer the last calls';

/** The operations that change nothing in S3. */
const READS = /^(Check|Head|List)/;

export function createSend(observe: ObserveStep, breakers: Breakers = noopBreakers): Send {
  return async (work, operation, request) => {
    const breaker = READS.test(operation) ? breakers.reads : breakers.writes;
    if (breaker.open) throw storageUnavailable('no response', new Error(BREAKER_OPEN));
    const leftMs = timeLeft(work.deadline);
    const abortSignal = AbortSignal.timeout(leftMs);
    try {
      const result = await observe(operation, () => request({ abortSignal }));
      breaker.onSuccess();
      return result;
    } catch (error) {
      if (isAboutRequest(error)) breaker.onSuccess();
      // A short time-out says nothing about S3: the caller's own deadline may have been too short.
      else if (!abortSignal.aborted || leftMs >= WAITED_LONG_MS) breaker.onFailure();
      throw storageUnavailable('no response', error);
    }
  };
}

/**
 * Whether S3 answered and refused only this request, so that S3 itself works. Status 429 is excluded,
 * because some servers send it in place of 503 SlowDown.
 */
function isAboutRequest(error: unknown): boolean {
  const status = error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
  return status !== undefined && status >= 400 && status < 500 && status !== 429;
}
