/**
 * Decides whether calls to Postgres or S3 are sent. After a few failures in a row the breaker opens: calls
 * fail at once instead of waiting until their time-out. The first success closes the breaker.
 *
 * The breaker has no timer. The health check of `src/server/readiness.ts` calls each server once a second in any
 * case, ignores an open breaker, and closes the breaker with the first answer. The npm package cockatiel was
 * rejected: it sends one probe call and lets all other calls wait for the result. If the server does not answer, the
 * calls of each second wait for the whole time-out of the probe call.
 */
interface Breaker {
  /** `true` when calls must fail at once, because the last calls have all failed. */
  readonly open: boolean;
  onSuccess(): void;
  onFailure(): void;
}

/**
 * The breakers of one server. Writes have their own breaker, because they can hang while reads work: a commit waits for
 * a synchronous standby that does not answer, for example. When one breaker served both, the hanging writes opened the
 * breaker, and it refused 718 of 742 reads. The reverse does not happen: if reads fail, writes fail too. So a failed
 * read also counts as a failed write, and both breakers open sooner after an outage has begun.
 */
export interface Breakers {
  readonly reads: Breaker;
  readonly writes: Breaker;
}

/**
 * Failures in a row, without a success in between, that open the breaker. Callers report a failure only if
 * the server failed by itself or did not answer for at least WAITED_LONG_MS.
 */
const FAILURES_MAX = 3;

/**
 * A time-out after less time is not reported to the breaker, because the caller may have set a short
 * deadline. Such a failure costs little time, so the breaker need not prevent it.
 */
export const WAITED_LONG_MS = 250;

export function createBreakers(failuresMax = FAILURES_MAX): Breakers {
  const writes = createBreaker(failuresMax);
  return { reads: createBreaker(failuresMax, writes), writes };
}

/** @param other gets the failures of this breaker, too */
function createBreaker(failuresMax: number, other?: Breaker): Breaker {
  let failures = 0;
  return {
    get open() {
      return failures >= failuresMax;
    },
    onSuccess() {
      failures = 0;
    },
    onFailure() {
      failures++;
      other?.onFailure();
    },
  };
}

/**
 * Breakers that never open, for programs without a health check. Without a health check, an open breaker stays open.
 */
export const noopBreakers: Breakers = createBreakers(Number.POSITIVE_INFINITY);

/**
 * Returns the breakers for the health check. The check reports its results to the given breakers, but is sent even
 * while they are open.
 */
export function ignoringOpen({ reads, writes }: Breakers): Breakers {
  return { reads: { ...reads, open: false }, writes: { ...writes, open: false } };
}
