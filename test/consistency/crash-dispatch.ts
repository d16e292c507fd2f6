import { createConsumerHealth } from '../../src/events/consumer-health.ts';
import { createDeliver } from '../../src/events/deliver.ts';
import { createDueEvents } from '../../src/events/due-events.ts';
import { createOutcomeWriter } from '../../src/events/outcome-writer.ts';
import { createHttpTransport } from '../../src/events/transports/http.ts';
import type { Transport } from '../../src/events/transports/transport.ts';
import type { EventQueue, FileEvent } from '../../src/files/ports/event-queue.ts';

/**
 * The dispatcher without its loop and its queue: one lease, and one delivery for each event, whose outcome is
 * written alone. So each event can wait in its gap without the others.
 */
export function openDispatch(events: EventQueue, url: string, wrap = (transport: Transport) => transport) {
  const http = createHttpTransport(new URL(url), undefined);
  const transport = wrap(http);
  const raise = (error: unknown) => {
    throw error;
  };
  const due = createDueEvents(events, () => undefined);
  return {
    lease: (limit: number) => due.lease(limit),
    async deliver(event: FileEvent): Promise<void> {
      const outcomes = createOutcomeWriter({ events, onError: raise });
      const health = createConsumerHealth(() => undefined);
      const deliver = createDeliver({
        transport,
        health,
        outcomes,
        onOutcome: () => undefined,
        onError: raise,
      });
      await deliver(event);
      await outcomes.stop();
    },
    close: () => http.close(),
  };
}
