/**
 * A reason why the service cannot start, written for the operator: the problem and the remedy. It is printed
 * without a stack, which would only hide the message.
 */
export class StartupError extends Error {
  override readonly name: string = 'StartupError';
}

/** The message of an error. An error with several causes, one for each address of a host, has only a code. */
export function reasonOf(error: unknown): string {
  const { message = '', code } = error as { message?: string; code?: string };
  return message || code || String(error);
}
