/**
 * A reason why the service cannot start, written for the operator: the problem and the remedy. It is printed
 * without a stack, which would only hide the message.
 */
export class StartupError extends Error {
  override readonly name: string = 'StartupError';
}
