/**
 * Whether a server that the service needs is worth waiting for. After a few
 * failures in a row, calls fail at once instead of waiting out their time, until
 * something is answered again.
 *
 * It has no clock of its own: readiness looks at each server once a second in any
 * case, past the breaker, and closes it with the first answer. (The npm package
 * cockatiel sends one call ahead, and lets all others wait for how that ends:
 * against a server that hangs, each second of them for a whole time-out.)
 */
export interface Breaker {
  /** Do not ask: nothing has been answered for a while. */
  readonly open: boolean;
  answered(): void;
  failed(): void;
}

/** Each has waited long, or was told so by the server, and nothing was answered in between. */
const FAILURES_MAX = 3;

/**
 * A failure that came sooner may be a caller's own short deadline. It costs little
 * time, so it need not be kept from anybody.
 */
export const WAITED_LONG_MS = 250;

export function createBreaker(failuresMax = FAILURES_MAX): Breaker {
  let failures = 0;
  return {
    get open() {
      return failures >= failuresMax;
    },
    answered() {
      failures = 0;
    },
    failed() {
      failures++;
    },
  };
}

/** For whoever has nobody who looks again. */
export const neverOpen: Breaker = createBreaker(Number.POSITIVE_INFINITY);

/** For the look itself: it tells the breaker, and is never held up by it. */
export function past({ answered, failed }: Breaker): Breaker {
  return { open: false, answered, failed };
}
