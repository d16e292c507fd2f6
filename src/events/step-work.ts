import type { Work } from '../files/call.ts';

/** The time-out of one statement of the dispatcher. */
const STEP_TIMEOUT_MS = 5_000;

/** The work of one statement. It names no user, because a statement is about events of many users. */
export function stepWork(): Work {
  return { deadline: Date.now() + STEP_TIMEOUT_MS };
}
