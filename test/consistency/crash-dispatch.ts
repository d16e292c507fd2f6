import { createConsumerHealth } from '../../src/events/consumer-health.ts';
import { createDeliver } from '../../src/events/deliver.ts';
import { createDueEvents } from '../../src/events/due-events.ts';
import { createSettlements } from '../../src/events/settlements.ts';
import { createHttpTransport } from '../../src/events/transports/http.ts';
import type { Transport } from '../../src/events/transports/transport.ts';
import type { EventQueue, FileEvent } from '../../src/files/ports/event-queue.ts';

/**
 * The dispatcher without its loop and its lanes: one lease, and one delivery with a settlement of its own for each
 * event. So each event can wait in its gap without the others.
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
      const settlements = createSettlements({ events, onError: raise });
      const health = createConsumerHealth(() => undefined);
      const deliver = createDeliver({
        transport,
        health,
        settlements,
        onOutcome: () => undefined,
        onError: raise,
      });
      await deliver(event);
      await settlements.stop();
    },
    close: () => http.close(),
  };
}
