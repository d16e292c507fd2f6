/** When a call must have its answer: milliseconds since the epoch. */
export type Deadline = number;

/**
 * The end of a part of the time that is left, for a step that the call can do
 * without: whatever S3 does, the rest remains for the answer.
 */
export function partOf(deadline: Deadline, fraction: number): Deadline {
  const now = Date.now();
  return now + Math.floor(Math.max(0, deadline - now) * fraction);
}
