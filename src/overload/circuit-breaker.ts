/**
 * Whether a server that the service needs is worth waiting for. After a few
 * failures in a row, calls fail at once instead of waiting out their time, until
 * something is onSuccess again.
 *
 * It has no clock of its own: readiness looks at each server once a second in any
 * case, past the breaker, and closes it with the first answer. (The npm package
 * cockatiel sends one call ahead, and lets all others wait for how that ends:
 * against a server that hangs, each second of them for a whole time-out.)
 */
export interface Breaker {
  /** Do not ask: nothing has been onSuccess for a while. */
  readonly open: boolean;
  onSuccess(): void;
  onFailure(): void;
}

/** Each has waited long, or was told so by the server, and nothing was onSuccess in between. */
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
    onSuccess() {
      failures = 0;
    },
    onFailure() {
      failures++;
    },
  };
}

/** For whoever has nobody who looks again. */
export const noopBreaker: Breaker = createBreaker(Number.POSITIVE_INFINITY);

/** For the look itself: it tells the breaker, and is never held up by it. */
export function ignoringOpen({ onSuccess, onFailure }: Breaker): Breaker {
  return { open: false, onSuccess, onFailure };
}
