/**
 * The number of retries that each successful statement adds to the budget. With one retry for ten statements,
 * retries add in the long run at most a tenth to the load.
 */
const EARNED_PER_ANSWER = 0.1;

/** The maximum number of retries in the budget: as many as connections may break at the same moment. */
const RETRIES_MAX = 20;

/** Limits retries to a share of the successes, so that retries cannot multiply the load of an outage. */
export function createRetryBudget() {
  let retries = RETRIES_MAX;
  return {
    /** Must be called for each statement that succeeded. */
    earn(): void {
      if (retries < RETRIES_MAX) retries += EARNED_PER_ANSWER;
    },
    /**
     * Takes one retry out of the budget. @returns `false` when the budget is empty and the caller must not
     * retry
     */
    spend(): boolean {
      if (retries < 1) return false;
      retries--;
      return true;
    },
  };
}
