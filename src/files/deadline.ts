/** When a call must have its answer: whole milliseconds since the epoch, as `AbortSignal.timeout` insists. */
export type Deadline = number;

/**
 * The end of a part of the time that is left, for a step that the call can do
 * without: whatever S3 does, the rest remains for the answer.
 */
export function partOf(deadline: Deadline, fraction: number): Deadline {
  const now = Date.now();
  return now + Math.floor(Math.max(0, deadline - now) * fraction);
}

/** The time was spent before a step was begun. Nothing has happened in it. */
export class DeadlineExceededError extends Error {
  override readonly name = 'DeadlineExceededError';
}

/** In milliseconds, for a step that is about to begin. @throws DeadlineExceededError when nothing is left: it must not begin then */
export function timeLeft(deadline: Deadline): number {
  const leftMs = deadline - Date.now();
  if (leftMs <= 0) throw new DeadlineExceededError('the deadline has passed');
  return leftMs;
}
