import { FileError } from '../files/file-error.ts';

/** What one call holds of the service while it is served. */
export interface Place {
  /**
   * Takes more, once the request has told what it costs.
   *
   * @throws FileError OVERLOADED; the place is as it was
   */
  grow(weight: number): void;
  /** To be called once, when nothing of the call is left: neither its work nor its unsent answer. */
  release(): void;
}

/** Limits what is served at once, so that what was admitted can be finished. */
export interface Admission {
  /** Calls that were admitted and have not ended. */
  readonly callsUnderWay: number;
  /** The sum of their weights. */
  readonly weightUnderWay: number;
  /**
   * Admits a call of this user, with a weight of 1.
   *
   * @throws FileError OVERLOADED, at once and before anything was done
   */
  admit(userId: string): Place;
}

/** Refused callers come back within these, at random, so that they do not come back together. */
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 1_500;

/** A call by a user who has no other is admitted while half of everything is free, whatever it weighs. */
const HEAVIEST_CALL_SHARE = 0.5;

/**
 * A user may hold as much as is free. A user who is alone may fill half of it, each of two greedy ones a third, and
 * there is always room for a new one: the dynamic threshold of shared buffers (Choudhury and Hahne, IEEE/ACM
 * Transactions on Networking 6(2), 1998).
 *
 * A fixed share per user would have to be small enough for many users, and would then turn away a lone user's burst
 * while nothing else is served.
 *
 * Calls have weights because they differ a hundredfold in cost (`call-weights.ts`). Counted as one each, sixty calls
 * for 1,000 part URLs raised the other users' median from 2 to 186 ms.
 */
export function createAdmission(weightMax: number): Admission {
  const heaviest = Math.max(1, Math.floor(weightMax * HEAVIEST_CALL_SHARE));
  let callsUnderWay = 0;
  let weightUnderWay = 0;
  /** Only users with calls under way, so that it does not grow with the number of users. */
  const weightOf = new Map<string, number>();

  function take(userId: string, weight: number): void {
    const own = weightOf.get(userId) ?? 0;
    if (own + weight > weightMax - weightUnderWay) throw overloaded();
    weightUnderWay += weight;
    weightOf.set(userId, own + weight);
  }

  function giveBack(userId: string, weight: number): void {
    weightUnderWay -= weight;
    const others = (weightOf.get(userId) ?? 0) - weight;
    if (others > 0) weightOf.set(userId, others);
    else weightOf.delete(userId);
  }

  class TakenPlace implements Place {
    readonly #userId: string;
    #held = 1;

    constructor(userId: string) {
      take(userId, this.#held);
      callsUnderWay++;
      this.#userId = userId;
    }

    grow(weight: number): void {
      // What it holds already must not count twice against it.
      const more = Math.min(weight, heaviest) - this.#held;
      if (more <= 0) return;
      take(this.#userId, more);
      this.#held += more;
    }

    release(): void {
      callsUnderWay--;
      giveBack(this.#userId, this.#held);
    }
  }

  return {
    get callsUnderWay() {
      return callsUnderWay;
    },
    get weightUnderWay() {
      return weightUnderWay;
    },
    admit: (userId) => new TakenPlace(userId),
  };
}

function overloaded(): FileError {
  return new FileError('OVERLOADED', 'the service has more calls than it can take; retry', {
    retryAfterMs: Math.round(RETRY_MIN_MS + Math.random() * (RETRY_MAX_MS - RETRY_MIN_MS)),
  });
}
