/**
 * S3 answered with success, but fields are missing that the service needs. Such an answer must not be interpreted: a
 * part that is listed without an ETag is not missing, and an object without a size is not empty.
 */
export class UnusableAnswerError extends Error {
  override readonly name = 'UnusableAnswerError';
}

export function incompleteAnswer(operation: string, missing: string): UnusableAnswerError {
  return new UnusableAnswerError(`S3 answered ${operation} without ${missing}`);
}
