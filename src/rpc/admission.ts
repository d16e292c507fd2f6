import { FileError } from '../files/file-error.ts';

/** Who is let in, so that what is let in can be finished. */
export interface Admission {
  /** Calls that were let in and have not ended. */
  readonly callsUnderWay: number;
  /**
   * Takes a place for a call of this user.
   *
   * @returns gives the place back; to be called once, when the call's work has ended
   * @throws FileError OVERLOADED, at once and before anything was done
   */
  admit(userId: string): () => void;
}

/** Refused callers come back within these, at random, so that they do not come back together. */
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 1_500;

/**
 * A user may have as many calls under way as there are places free. So somebody
 * who is alone may fill half of them, one of two greedy ones a third, and there
 * is always room for whoever comes new: the dynamic threshold of shared buffers
 * (Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998).
 *
 * A fixed share per user would have to be small enough for many, and would then
 * turn away a lone user's burst while nobody else is there.
 */
export function createAdmission(placesMax: number): Admission {
  let callsUnderWay = 0;
  /** Without those that have none, so that it does not grow with the users there ever were. */
  const callsOf = new Map<string, number>();

  const leave = (userId: string) => {
    callsUnderWay--;
    const others = (callsOf.get(userId) ?? 0) - 1;
    if (others > 0) callsOf.set(userId, others);
    else callsOf.delete(userId);
  };
  return {
    get callsUnderWay() {
      return callsUnderWay;
    },
    admit(userId) {
      const own = callsOf.get(userId) ?? 0;
      if (own >= placesMax - callsUnderWay) throw overloaded();
      callsUnderWay++;
      callsOf.set(userId, own + 1);
      return () => leave(userId);
    },
  };
}

function overloaded(): FileError {
  return new FileError('OVERLOADED', 'the service has more calls than it can take; retry', {
    retryAfterMs: Math.round(RETRY_MIN_MS + Math.random() * (RETRY_MAX_MS - RETRY_MIN_MS)),
  });
}
