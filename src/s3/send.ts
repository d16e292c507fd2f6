import type { Work } from '../files/call.ts';
import { timeLeft } from '../files/deadline.ts';
import { FileError, storageRefused, storageUnavailable } from '../files/file-error.ts';
import type { ObserveStep } from '../files/ports/observer.ts';
import { RefusalError } from '../files/refusal-error.ts';
import { type Breakers, noopBreakers, WAITED_LONG_MS } from '../overload/circuit-breaker.ts';
import { isConcurrentChange, toRefusal } from './answers/refusals.ts';
import { UnusableAnswerError } from './answers/unusable-answer.ts';

/**
 * Runs one operation on S3, until the deadline at the latest. If the last operations have had no answer, the circuit
 * breaker (`src/overload/circuit-breaker.ts`) is open: operations then fail at once and send nothing.
 *
 * @throws FileError STORAGE_UNAVAILABLE when the operation fails, or when the circuit breaker is open; STORAGE_REFUSED
 *   with a RefusalError as its cause when S3 refuses the operation
 * @throws DeadlineExceededError when the deadline has already passed: nothing is sent
 */
export type Send = <Result>(
  work: Work,
  operation: string,
  request: (options: { abortSignal: AbortSignal }) => Promise<Result>,
) => Promise<Result>;

const BREAKER_OPEN = 'the request was not sent, because S3 did not answer the last calls';

/** The operations that change nothing in S3. They have another circuit breaker than the operations that write. */
const READS = /^(Check|Head|List)/;

export function createSend(observe: ObserveStep, breakers: Breakers = noopBreakers): Send {
  return async (work, operation, request) => {
    const breaker = READS.test(operation) ? breakers.reads : breakers.writes;
    if (breaker.open) throw storageUnavailable('no response', new Error(BREAKER_OPEN));
    const leftMs = timeLeft(work.deadline);
    // The timer of `AbortSignal.timeout` cannot be cleared. Until it fires, it keeps the signal of a request that has
    // ended, and then makes an error for it: 10 % of the CPU of a HEAD.
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(timeoutError()), leftMs);
    const abortSignal = timeout.signal;
    try {
      const result = await observe(operation, () =>
        request({ abortSignal }).catch((error) => {
          throw toRefusal(operation, error) ?? error;
        }),
      );
      breaker.onSuccess();
      return result;
    } catch (error) {
      // A time-out after less than WAITED_LONG_MS says nothing about S3, because the caller's deadline was short.
      if (answered(error)) breaker.onSuccess();
      else if (!isOurs(error) && (!abortSignal.aborted || leftMs >= WAITED_LONG_MS)) breaker.onFailure();
      throw toFileError(error);
    } finally {
      clearTimeout(timer);
    }
  };
}

function timeoutError(): DOMException {
  return new DOMException('The operation was aborted due to timeout', 'TimeoutError');
}

/** Whether S3 answered. Then S3 is not down, although the operation failed. */
function answered(error: unknown): boolean {
  return error instanceof RefusalError || error instanceof UnusableAnswerError || isConcurrentChange(error);
}

/** Whether the service failed before it sent a request, for example because it has no credentials. */
function isOurs(error: unknown): boolean {
  return error instanceof FileError || isWithoutCredentials(error);
}

/** Each credentials provider of the SDK throws errors with this name. */
function isWithoutCredentials(error: unknown): boolean {
  return error instanceof Error && error.name === 'CredentialsProviderError';
}

function toFileError(error: unknown): FileError {
  if (error instanceof FileError) return error;
  if (error instanceof RefusalError) return storageRefused(error);
  if (error instanceof UnusableAnswerError) return storageUnavailable('unusable answer', error);
  if (isConcurrentChange(error)) return storageUnavailable('concurrent change', error);
  return storageUnavailable(isWithoutCredentials(error) ? 'no credentials' : 'no response', error);
}
