import type { Logger } from 'pino';
import { createDispatcher, type Dispatcher } from '../../events/dispatcher.ts';
import { type Consumer, openTransport } from '../../events/transports/open-transport.ts';
import type { EventQueue } from '../../files/ports/event-queue.ts';
import type { FileStore } from '../../files/ports/file-store.ts';
import { FAILURE_INTERVAL_MS, limitLines } from '../../observability/limit-lines.ts';
import type { Metrics } from '../../observability/metrics.ts';
import { isSchemaBehind } from '../../postgres/connection/error-classes.ts';

/**
 * Creates the dispatcher, the background task that delivers events to the consumer (`src/events/dispatcher.ts`). It
 * reports to the metrics and the log.
 */
export function createObservedDispatcher(
  consumer: Consumer,
  events: EventQueue,
  log: Logger,
  metrics: Metrics,
): Dispatcher {
  const outageLine = limitLines(FAILURE_INTERVAL_MS);
  const recoveryLine = limitLines(FAILURE_INTERVAL_MS);
  const errorLine = limitLines(FAILURE_INTERVAL_MS);
  return createDispatcher({
    events,
    transport: openTransport(consumer),
    onOutcome: (outcome) => metrics.events.inc({ outcome }),
    onOldest: (seconds) => metrics.oldestEventAgeSeconds.set(seconds),
    onOutage: (failure) =>
      failure === undefined
        ? recoveryLine((unlogged) => log.info({ unlogged }, 'the consumer takes events again'))
        : outageLine((unlogged) =>
            log.error(
              { ...failure, unlogged },
              'the consumer at EVENTS_URL takes no events; they are kept and delivered later',
            ),
          ),
    onError: (error) => {
      // The readiness check tells to migrate.
      if (isSchemaBehind(error)) return;
      errorLine((unlogged) =>
        log.warn(
          { err: error, unlogged },
          'the dispatcher of events could not finish a step and will repeat it',
        ),
      );
    },
  });
}

/**
 * Returns the store with transitions that wake the dispatcher of this instance. The operations do not know of events.
 * Without the nudge, an event waits about a second, until a dispatcher leases events again.
 */
export function withNudges(store: FileStore, nudge: () => void): FileStore {
  /** Nudges after a transition, unless the transition says that it did not find its row. */
  const nudging =
    <Params extends unknown[], Result>(
      transition: (...params: Params) => Promise<Result>,
      isQuiet = isUndefined,
    ) =>
    async (...params: Params): Promise<Result> => {
      const result = await transition(...params);
      if (!isQuiet(result)) nudge();
      return result;
    };
  return {
    ...store,
    markReady: nudging(store.markReady),
    markReadyMany: nudging(store.markReadyMany),
    markDeleted: nudging(store.markDeleted),
    expireUpload: nudging(store.expireUpload),
    // `markLost` does not say whether it found its row.
    markLost: nudging(store.markLost, () => false),
  };
}

function isUndefined(result: unknown): boolean {
  return result === undefined;
}
