import { vi } from 'vitest';

/**
 * Repeats a step until it succeeds, at least for 10 s, because a busy machine makes the event late for which a test
 * waits. A test of how soon an event comes uses `vi.waitFor` with a time-out.
 */
export function waitFor<Result>(step: () => Result | Promise<Result>, interval = 50): Promise<Result> {
  return vi.waitFor(step, { timeout: 10_000, interval });
}
