/**
 * Records events in the log, in the metrics, or in both: calls, requests to S3, content mismatches (S3 holds another
 * object than the client announced), lost files (S3 no longer holds an object that it held), failed steps, and errors
 * that no call has caught.
 */
import type { Logger } from 'pino';
import type { Difference } from '../files/file.ts';
import type { Observer, ObserveStep } from '../files/ports/observer.ts';
import { RefusalError } from '../files/refusal-error.ts';
import type { CallOutcome } from '../rpc/call-gate.ts';
import { FAILURE_INTERVAL_MS, kindOfError, limitLines, limitLinesByKind } from './limit-lines.ts';
import type { Metrics } from './metrics.ts';
import type { Refusals } from './refusals.ts';
import { traceStep } from './tracing.ts';

/** A call that took longer is logged as a slow call, unless it is logged as failed (`OUR_ERRORS`). */
const SLOW_CALL_SECONDS = 1;

export function observeStorage(metrics: Metrics, refusals: Refusals): ObserveStep {
  return async (operation, run) => {
    const stopTimer = metrics.storageSeconds.startTimer({ operation });
    let outcome = 'failed';
    try {
      const result = await traceStep(`s3 ${operation}`, run);
      outcome = 'answered';
      refusals.succeeded(operation);
      return result;
    } catch (error) {
      if (error instanceof RefusalError) {
        outcome = 'refused';
        refusals.refused(error);
      }
      throw error;
    } finally {
      stopTimer();
      metrics.storageCalls.inc({ operation, outcome });
    }
  };
}

/**
 * The log gets at most one line about mismatches, and one about lost files, in this time; the metrics count all of
 * them. A client can cause mismatches by adding a Content-Encoding to its PUTs, and a single list may then find 1,000
 * mismatches. A bucket that was emptied loses every file.
 */
const FILE_LINE_INTERVAL_MS = 1_000;

const MISMATCHES: Record<Difference, string> = {
  bytes: 'the object differs from what was announced, because another writer uses the bucket',
  'Content-Encoding': 'the object has a Content-Encoding, which uploads must not have',
  'Content-Type':
    'the object has another Content-Type than announced: another writer uses the bucket, or the server changes types',
};

export function createObserver(log: Logger, metrics: Metrics): Observer {
  const mismatchLine = limitLines(FILE_LINE_INTERVAL_MS);
  const lostLine = limitLines(FILE_LINE_INTERVAL_MS);
  const stepLine = limitLinesByKind(FAILURE_INTERVAL_MS);
  return {
    contentMismatch(_, s3Key, { etag, size, mimeType, contentEncoding }, difference) {
      metrics.contentMismatches.inc();
      mismatchLine((unlogged) =>
        log.error({ s3Key, etag, size, mimeType, contentEncoding, unlogged }, MISMATCHES[difference]),
      );
    },
    partsMismatch(_, s3Key, partNumbers) {
      metrics.contentMismatches.inc();
      const [firstPart] = partNumbers;
      mismatchLine((unlogged) =>
        log.error({ s3Key, parts: partNumbers.length, firstPart, unlogged }, `parts: ${MISMATCHES.bytes}`),
      );
    },
    fileLost(_, s3Key) {
      metrics.lost.inc();
      lostLine((unlogged) => log.error({ s3Key, unlogged }, 'S3 has lost the object of a READY file'));
    },
    stepFailed(step, error) {
      stepLine(`${step}: ${kindOfError(error)}`, (unlogged) =>
        log.warn(
          { step, err: error, unlogged },
          'a step of a call failed, and the call continued without it',
        ),
      );
    },
  };
}

/**
 * Codes that mean an error of the service. A call with one of these codes is logged with the error that
 * caused the code. Errors of the caller are only counted. DEADLINE_EXCEEDED is not among these codes, because
 * the caller may have set a short deadline. If the call took long, the log has the call as a slow call.
 */
const OUR_ERRORS = new Set(['INTERNAL', 'UNKNOWN', 'UNAVAILABLE']);

export function recordCall(log: Logger, metrics: Metrics) {
  return (call: CallOutcome): void => {
    const { method, code, reason, seconds } = call;
    metrics.calls.inc({ method, code, reason });
    metrics.callSeconds.observe({ method, code }, seconds);
    if (OUR_ERRORS.has(code)) log.error({ ...factsOf(call), err: call.error }, 'call failed');
    else if (seconds > SLOW_CALL_SECONDS) log.warn(factsOf(call), 'slow call');
    // A log line costs 10 µs of CPU (Node 24), twenty times as much as the metrics of the call. So only the level
    // `debug` logs all calls.
    else if (log.isLevelEnabled('debug')) log.debug(factsOf(call), 'call');
  };
}

/** Returns all fields except the error, because the text of an error may contain anything. */
function factsOf({ error, ...facts }: CallOutcome) {
  return facts;
}

export function recordStrayError(log: Logger, metrics: Metrics) {
  return (error: unknown): void => {
    metrics.strayErrors.inc();
    log.error({ err: error }, 'no call caught this error; the service continues to run');
  };
}
