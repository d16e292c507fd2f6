import { eventToProto } from '../../src/events/event-message.ts';
import { createGrpcTransport } from '../../src/events/transports/grpc.ts';
import { DELIVERY_TIMEOUT_MS, type Transport } from '../../src/events/transports/transport.ts';
import { sampleEvent } from './sample.ts';

export const TOKEN = 'a-token-of-the-consumer';
export const MESSAGE = eventToProto(sampleEvent());

/** Delivers MESSAGE and closes the transport. */
export async function deliverOnce(transport: Transport) {
  const startMs = performance.now();
  const delivery = await transport.deliver(MESSAGE);
  transport.close();
  return { ...delivery, tookMs: performance.now() - startMs };
}

/** The time-out of deliveries to consumers that do not answer. */
export const SHORT_MS = 500;

/** @param timeoutMs by default as long as in the service, because a busy machine also delays deliveries that are answered */
export function deliverOverGrpc(url: URL, timeoutMs = DELIVERY_TIMEOUT_MS) {
  return deliverOnce(createGrpcTransport(url, TOKEN, timeoutMs));
}
