import type { Logger } from 'pino';
import type { Observer, ObserveStep } from '../files/ports.ts';
import type { CallOutcome } from '../rpc/call-gate.ts';
import { type Metrics, traceStep } from './telemetry.ts';

/** What is written down of each call, each question to S3, each finding and each stray error: in the log, in the metrics, or in both. */

/** A call that took this long is worth a line. */
const SLOW_CALL_SECONDS = 1;

export function observeStorage(metrics: Metrics): ObserveStep {
  return async (operation, run) => {
    const stopTimer = metrics.storageSeconds.startTimer({ operation });
    let outcome = 'failed';
    try {
      const result = await traceStep(`s3 ${operation}`, run);
      outcome = 'answered';
      return result;
    } finally {
      stopTimer();
      metrics.storageCalls.inc({ operation, outcome });
    }
  };
}

/**
 * A client can cause mismatches itself, by a Content-Encoding that it adds to its PUTs, and one list then finds 300 of them.
 * A line in this time is enough to see one; the metric counts all.
 */
const MISMATCH_LINE_INTERVAL_MS = 1_000;

export function createObserver(log: Logger, metrics: Metrics): Observer {
  let nextLineMs = 0;
  let unlogged = 0;
  return {
    contentMismatch({ s3Key }, { etag, size, contentEncoding }) {
      metrics.contentMismatches.inc();
      const nowMs = Date.now();
      if (nowMs < nextLineMs) {
        unlogged++;
        return;
      }
      log.error(
        { s3Key, etag, size, contentEncoding, unlogged },
        contentEncoding === ''
          ? 'the bucket holds other bytes than were announced: who else writes to it?'
          : 'the bucket holds an object with a Content-Encoding, which no upload may have',
      );
      nextLineMs = nowMs + MISMATCH_LINE_INTERVAL_MS;
      unlogged = 0;
    },
    storageFailed(step, error) {
      log.warn({ step, err: error }, 'S3 did not answer; the call went on without it');
    },
  };
}

/**
 * The caller's own faults are its own business; ours are logged with what is
 * behind them. A deadline may be either: the caller's patience, or a call that
 * took long, and then it is logged as a slow one.
 */
const OUR_ERRORS = new Set(['INTERNAL', 'UNKNOWN', 'UNAVAILABLE']);

export function recordCall(log: Logger, metrics: Metrics) {
  return (call: CallOutcome): void => {
    const { method, code, reason, seconds } = call;
    metrics.calls.inc({ method, code, reason });
    metrics.callSeconds.observe({ method, code }, seconds);
    if (OUR_ERRORS.has(code)) log.error({ ...factsOf(call), err: call.error }, 'call failed');
    else if (seconds > SLOW_CALL_SECONDS) log.warn(factsOf(call), 'slow call');
    // A line per call costs 85 µs (design, §6): as much as everything else in this file.
    else if (log.isLevelEnabled('debug')) log.debug(factsOf(call), 'call');
  };
}

/** Without what may hold anything. */
function factsOf({ error, ...facts }: CallOutcome) {
  return facts;
}

export function recordStrayError(log: Logger, metrics: Metrics) {
  return (error: unknown): void => {
    metrics.strayErrors.inc();
    log.error({ err: error }, 'an error that nobody caught; the service goes on');
  };
}
