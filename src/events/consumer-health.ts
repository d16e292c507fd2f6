/**
 * Decides from the outcomes of the last deliveries how many deliveries may run at the same time.
 *
 * `src/overload/circuit-breaker.ts` does not fit: its breaker has no timer, because a health check calls the server
 * once a second and closes it. The consumer has no health check, and its first sign of life is an event that it takes.
 * So this breaker sends events as probes. It also has states between open and closed: fewer deliveries at once for a
 * consumer that is too slow, and an outage with too few events to open the breaker.
 */
import { DELIVERIES_MAX, DELIVERY_TIMEOUT_MS, type Delivery } from './transports/transport.ts';

/**
 * The deliveries that may run at the same time after the start, and after an outage. The number grows by one when as
 * many deliveries have succeeded, so a consumer that answers within 5 ms is sent DELIVERIES_MAX after 0.2 s. A consumer
 * that works on one event after the other would answer most of 32 first events too late.
 */
const FIRST_DELIVERIES = 4;

/** From this number of failures in a row on, the consumer counts as failing, and not the single event. */
const OUTAGE_AFTER_FAILURES = 3;

/**
 * The breaker opens when this number of different events has failed and none was delivered in between. Failures of the
 * same event count once: an event that the consumer never takes must not delay the others. It is retried after its
 * own pauses.
 */
const OPEN_AFTER_EVENTS = 10;

/** The pause between two probes while the breaker is open. It doubles with each failure. */
const PROBE_PAUSE_MS = { min: 1_000, max: 10_000 };

export interface ConsumerHealth {
  /** How many deliveries may run now. 0 while the breaker is open. */
  readonly deliveriesMax: number;
  /** Whether the breaker is open. One event at a time may then be delivered as a probe. */
  readonly isOpen: boolean;
  /** Whether the last deliveries have failed in a row, of whatever events. */
  readonly isOutage: boolean;
  /** While the breaker is open: when the next probe may be sent, by `performance.now()`. */
  readonly nextProbeMs: number;
  onDelivered(): void;
  /** @param eventKey the key of the file in S3 */
  onFailure(eventKey: string, delivery: Delivery): void;
}

/** @param onOutage called when an outage begins, with the last failure, and with `undefined` when it ends */
export function createConsumerHealth(onOutage: (failure: Delivery | undefined) => void): ConsumerHealth {
  let failuresInARow = 0;
  /** The events that have failed since the last one that was delivered; at most OPEN_AFTER_EVENTS. */
  const failedEvents = new Set<string>();
  let deliveriesMax = FIRST_DELIVERIES;
  let nextReductionMs = 0;
  let probePauseMs = PROBE_PAUSE_MS.min;
  let nextProbeMs = 0;

  const isOpen = () => failedEvents.size >= OPEN_AFTER_EVENTS;
  const isOutage = () => failuresInARow >= OUTAGE_AFTER_FAILURES;

  /**
   * A consumer that works on one event after the other answers the last of 32 too late, and has worked on it in vain.
   * So a time-out halves the number of deliveries, but only once per time-out: the others of that time began before.
   */
  function reduce(): void {
    const nowMs = performance.now();
    if (nowMs < nextReductionMs) return;
    deliveriesMax = Math.max(1, deliveriesMax / 2);
    nextReductionMs = nowMs + DELIVERY_TIMEOUT_MS;
  }

  function postponeProbe(outcome: Delivery['outcome']): void {
    const nowMs = performance.now();
    // The end of a delivery that began before the breaker opened. It must not make the pause longer.
    if (nowMs < nextProbeMs) return;
    nextProbeMs = nowMs + probePauseMs * (0.75 + 0.25 * Math.random());
    // A consumer that refuses events is there. It may refuse only some of them, so the probes go through them quickly.
    const factor = outcome === 'refused' ? 1 : 2;
    probePauseMs = Math.min(PROBE_PAUSE_MS.max, probePauseMs * factor);
  }

  return {
    get deliveriesMax() {
      return isOpen() ? 0 : Math.floor(deliveriesMax);
    },
    get isOpen() {
      return isOpen();
    },
    get isOutage() {
      return isOutage();
    },
    get nextProbeMs() {
      return nextProbeMs;
    },

    onDelivered() {
      const wasOutage = isOutage();
      failuresInARow = 0;
      failedEvents.clear();
      probePauseMs = PROBE_PAUSE_MS.min;
      deliveriesMax = Math.min(DELIVERIES_MAX, deliveriesMax + 1 / deliveriesMax);
      if (wasOutage) onOutage(undefined);
    },

    onFailure(eventKey, delivery) {
      const wasOutage = isOutage();
      failuresInARow++;
      if (delivery.outcome === 'unanswered') reduce();
      if (!isOpen()) failedEvents.add(eventKey);
      if (isOpen()) {
        deliveriesMax = FIRST_DELIVERIES;
        postponeProbe(delivery.outcome);
      }
      if (isOutage() && !wasOutage) onOutage(delivery);
    },
  };
}
