/**
 * What keeps the service from starting, in words for whoever started it: what is wrong, and what to do. It is shown
 * without a stack, which would only hide it.
 */
export class StartupError extends Error {
  override readonly name: string = 'StartupError';
}
