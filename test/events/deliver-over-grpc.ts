import { eventToProto } from '../../src/events/event-message.ts';
import { createGrpcTransport } from '../../src/events/transports/grpc.ts';
import { sampleEvent } from './sample.ts';

export const TOKEN = 'a-token-of-the-consumer';
export const MESSAGE = eventToProto(sampleEvent());

/** Delivers MESSAGE over a transport of its own. */
export async function deliverOverGrpc(url: URL, timeoutMs = 500) {
  const transport = createGrpcTransport(url, TOKEN, timeoutMs);
  const startMs = performance.now();
  const delivery = await transport.deliver(MESSAGE);
  transport.close();
  return { ...delivery, tookMs: performance.now() - startMs };
}
