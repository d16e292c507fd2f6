export interface RetryBudget {
  /** A statement was answered. */
  earn(): void;
  /** Whether one more may be tried again. */
  spend(): boolean;
}

/** One retry for ten statements that succeed: in an outage, retries add at most a tenth to the load. */
const EARNED_PER_ANSWER = 0.1;

/** As many at once as connections that may break together. */
const RETRIES_MAX = 20;

export function createRetryBudget(): RetryBudget {
  let retries = RETRIES_MAX;
  return {
    earn() {
      if (retries < RETRIES_MAX) retries += EARNED_PER_ANSWER;
    },
    spend() {
      if (retries < 1) return false;
      retries--;
      return true;
    },
  };
}
