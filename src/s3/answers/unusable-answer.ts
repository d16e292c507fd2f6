/**
 * S3 answered with success, and with content that the service cannot use. S3 is not down, but the answer says nothing
 * about the objects either: a part without an ETag is no missing part, and an object without a size is not empty.
 */
export class UnusableAnswerError extends Error {
  override readonly name = 'UnusableAnswerError';
}

export function incompleteAnswer(operation: string, missing: string): UnusableAnswerError {
  return new UnusableAnswerError(`S3 answered ${operation} without ${missing}`);
}
