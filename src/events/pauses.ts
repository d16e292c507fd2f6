/** The pause after the first failed delivery of an event. Each further failure makes the pause four times as long. */
const FIRST_PAUSE_SECONDS = 1;
const PAUSE_FACTOR = 4;
const LONGEST_PAUSE_SECONDS = 3_600;

/** While the consumer takes no event at all, each event waits for a time between these two. */
const OUTAGE_PAUSE_SECONDS = { min: 5, max: 20 };

export interface Pause {
  pauseSeconds: number;
  /** Whether the delivery counts as an attempt of its event, so that the next pause is longer. */
  isCounted: boolean;
}

/**
 * Returns how long an event waits after a delivery that failed. The pauses vary at random, so that events that failed
 * together are not delivered together again.
 *
 * If the consumer takes other events, the failure is one of this event, and the pauses grow to an hour. If it takes no
 * event, the pauses do not grow: whatever the outage lasted, every event comes within half a minute after its end.
 *
 * @param attempts the counted failures before this one
 * @param isOutage whether the last deliveries of all events failed
 */
export function pauseAfterFailure(attempts: number, isOutage: boolean): Pause {
  if (isOutage) {
    const { min, max } = OUTAGE_PAUSE_SECONDS;
    return { pauseSeconds: min + (max - min) * Math.random(), isCounted: false };
  }
  const longest = Math.min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * PAUSE_FACTOR ** attempts);
  return { pauseSeconds: longest * (0.75 + 0.25 * Math.random()), isCounted: true };
}
