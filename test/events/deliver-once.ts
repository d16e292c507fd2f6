import { eventToProto } from '../../src/events/event-message.ts';
import { createGrpcTransport } from '../../src/events/transports/grpc.ts';
import type { Transport } from '../../src/events/transports/transport.ts';
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

export function deliverOverGrpc(url: URL, timeoutMs = 500) {
  return deliverOnce(createGrpcTransport(url, TOKEN, timeoutMs));
}
