import type { FileEvent } from '../files/ports/event-queue.ts';
import type { ConsumerHealth } from './consumer-health.ts';
import { eventToProto } from './event-message.ts';
import type { OutcomeWriter } from './outcome-writer.ts';
import { pauseAfterFailure } from './pauses.ts';
import type { Outcome, Transport } from './transports/transport.ts';

interface DeliverOptions {
  transport: Transport;
  health: ConsumerHealth;
  outcomes: OutcomeWriter;
  onOutcome: (outcome: Outcome) => void;
  onError: (error: unknown) => void;
}

/** Returns a function that delivers an event once and acknowledges or postpones it. The function never rejects. */
export function createDeliver(options: DeliverOptions): (event: FileEvent) => Promise<void> {
  const { transport, health, outcomes, onOutcome, onError } = options;
  return async (event) => {
    try {
      const delivery = await transport.deliver(eventToProto(event));
      onOutcome(delivery.outcome);
      if (delivery.outcome === 'delivered') {
        health.onDelivered();
        outcomes.acknowledge(event);
      } else {
        health.onFailure(event.s3Key, delivery);
        outcomes.postpone(event, pauseAfterFailure(event.attempts, health.isOutage));
      }
    } catch (error) {
      // A bug, because a transport never rejects. The event comes due again when its lease ends.
      onError(error);
    }
  };
}
