/**
 * A reason why the service cannot start. The message tells the operator the problem and the remedy. `src/process`
 * prints the message without the stack, because the stack would only hide it.
 */
export class StartupError extends Error {
  override readonly name: string = 'StartupError';
}

/**
 * Returns the message of an error, or its code if the message is empty. The message is empty when Node could reach
 * no address of a host that has several: Node then throws an AggregateError with one cause for each address.
 */
export function reasonOf(error: unknown): string {
  const { message = '', code } = error as { message?: string; code?: string };
  return message || code || String(error);
}
