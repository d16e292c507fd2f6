/**
 * When a call must be answered: milliseconds since the epoch, as a whole number because `AbortSignal.timeout`
 * accepts no fractions.
 */
export type Deadline = number;

/**
 * Returns the moment when this fraction of the remaining time has passed. The moment is the deadline of a step
 * that the call can do without. However long S3 takes in that step, the rest of the time remains for the
 * response.
 */
export function partOf(deadline: Deadline, fraction: number): Deadline {
  const now = Date.now();
  return now + Math.floor(Math.max(0, deadline - now) * fraction);
}

/** The deadline passed before a step began. The step has done nothing. */
export class DeadlineExceededError extends Error {
  override readonly name = 'DeadlineExceededError';
}

/**
 * Returns the milliseconds that are left for a step that is about to begin.
 *
 * @throws DeadlineExceededError if no time is left; the step must not begin then
 */
export function timeLeft(deadline: Deadline): number {
  const leftMs = deadline - Date.now();
  if (leftMs <= 0) throw new DeadlineExceededError('the deadline has passed');
  return leftMs;
}
