/**
 * `src/server/events` builds the background work for events: the dispatcher if there is a consumer, else the removal of
 * what was not delivered. The other parts of the service get the store from here and do not know of events. How events
 * are delivered belongs in `src/events`.
 */
import type { Logger } from 'pino';
import type { Consumer } from '../../events/transports/open-transport.ts';
import type { FileStore } from '../../files/ports/file-store.ts';
import type { Metrics } from '../../observability/metrics.ts';
import type { Backends } from '../backends/backends.ts';
import { createObservedDispatcher, withNudges } from './dispatching.ts';
import { dropUndeliveredEvents } from './drop-events.ts';

/** The background work for events, and the store through which all other work changes files. */
export interface Events {
  store: FileStore;
  start(): void;
  /** Resolves when the deliveries under way have ended. */
  stop(): Promise<void>;
}

/**
 * With a consumer, a dispatcher delivers the events, and each change of a file wakes it. Without one, the events that
 * were not delivered are dropped.
 */
export function createEvents(
  consumer: Consumer | undefined,
  { events, store }: Pick<Backends, 'events' | 'store'>,
  log: Logger,
  metrics: Metrics,
): Events {
  if (consumer === undefined) {
    const stopping = new AbortController();
    return {
      store,
      start: () => void dropUndeliveredEvents(events, log, stopping.signal),
      stop: async () => stopping.abort(),
    };
  }
  const dispatcher = createObservedDispatcher(consumer, events, log, metrics);
  return { store: withNudges(store, dispatcher.nudge), start: dispatcher.start, stop: dispatcher.stop };
}
