import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { stepWork } from '../../files/call.ts';
import type { EventQueue } from '../../files/ports/event-queue.ts';
import { isSchemaBehind } from '../../postgres/connection/error-classes.ts';

/** The most events that one statement drops (`EventQueue.dropEvents`). A statement takes a few milliseconds. */
const BATCH_EVENTS = 100;

/** The pause after an error, and before a row is tried again that another session had locked. */
const RETRY_INTERVAL_MS = 10_000;

/**
 * Drops the events that were not delivered, because the service has been started without events (EVENTS_URL is not
 * set). Otherwise the events would be delivered when events are turned on again, and most of them would be old by then.
 *
 * Runs in the background and never fails. Several instances may run it at the same time. If it does not reach the end
 * before the service stops, the next start continues.
 *
 * @param retryIntervalMs the pause after an error, and after a batch in which all rows were locked
 */
export async function dropUndeliveredEvents(
  events: Pick<EventQueue, 'dropEvents'>,
  log: Logger,
  signal: AbortSignal,
  retryIntervalMs = RETRY_INTERVAL_MS,
): Promise<void> {
  let total = 0;
  const pause = () => sleep(retryIntervalMs, undefined, { signal, ref: false }).catch(() => undefined);
  while (!signal.aborted) {
    try {
      const { dropped, isLeft } = await events.dropEvents(stepWork(), BATCH_EVENTS);
      total += dropped;
      if (!isLeft) break;
      if (dropped === 0) await pause();
    } catch (error) {
      // Before migration 0003 has run, no row has an event. The readiness check tells to migrate.
      if (isSchemaBehind(error)) return;
      log.warn({ err: error }, 'the events that were not delivered cannot be dropped now');
      await pause();
    }
  }
  if (total > 0)
    log.warn({ events: total }, 'events are off (EVENTS_URL), so undelivered events were dropped');
}
