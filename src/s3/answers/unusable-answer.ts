/**
 * S3 answered, but the service cannot use the answer, mostly because fields are missing. Such an answer must not be
 * interpreted: a part that is listed without an ETag is not missing, and an object without a size is not empty.
 */
export class UnusableAnswerError extends Error {
  override readonly name = 'UnusableAnswerError';
}

export function incompleteAnswer(operation: string, missing: string): UnusableAnswerError {
  return new UnusableAnswerError(`S3 answered ${operation} without ${missing}`);
}
