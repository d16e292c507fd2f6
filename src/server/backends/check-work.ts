import type { Work } from '../../files/call.ts';

/** Time for one readiness check of Postgres or of the bucket. */
export const CHECK_TIMEOUT_MS = 1_000;

export function checkWork(): Work {
  return { deadline: Date.now() + CHECK_TIMEOUT_MS };
}
