import { setTimeout as sleep } from 'node:timers/promises';
import { envelope } from '../resilience/http2-frames.ts';
import type { Port } from './methods.ts';
import type { RawRequest } from './request.ts';
import { openSender } from './sender.ts';
import { gateway } from './service.ts';

/** A call of a gateway to this port, with a valid gateway token. */
function ordinaryRequest(port: Port, userId: string): RawRequest {
  const path = '/files.v1.FileService/ListFiles';
  const headers = gateway(userId);
  return port === 'gRPC'
    ? {
        port,
        httpVersion: 2,
        path,
        headers: { ...headers, 'content-type': 'application/grpc', te: 'trailers' },
        body: envelope(new Uint8Array()),
        isEndless: false,
      }
    : {
        port,
        httpVersion: 1,
        path,
        headers: { ...headers, 'content-type': 'application/json' },
        body: Buffer.from('{}'),
        isEndless: false,
      };
}

/** Longer than the default deadline of a call (3 s), so that the service answers before this time. */
const CALL_MAX_MS = 5_000;

/** Makes an ordinary call on a new connection. @returns its code, or `no answer` */
export async function callOn(port: Port, ports: Record<Port, number>, userId = 'ada'): Promise<string> {
  using sender = openSender(ports);
  const { code } = await Promise.race([
    sender.send(ordinaryRequest(port, userId), 'whole'),
    sleep(CALL_MAX_MS, { code: 'no answer' }),
  ]);
  return code;
}

const WARM_UP_CALLS = 20;

/** Makes ordinary calls on both ports, so that code is compiled and caches fill before the first measurement. */
export async function warmUp(ports: Record<Port, number>): Promise<void> {
  for (let call = 0; call < WARM_UP_CALLS; call++) {
    for (const port of ['gRPC', 'HTTP'] as const) await callOn(port, ports);
  }
}

/** After this many ordinary calls the heap has its final size. */
const GROWING_CALLS = 1_000;
const GROWING_CALLS_AT_ONCE = 100;

/** Makes so many ordinary calls that the growth of the heap is not counted as memory of what is measured next. */
export async function growHeap(ports: Record<Port, number>): Promise<void> {
  using sender = openSender(ports);
  for (let call = 0; call < GROWING_CALLS; call += GROWING_CALLS_AT_ONCE) {
    const calls = Array.from({ length: GROWING_CALLS_AT_ONCE }, (_, index) =>
      sender.send(ordinaryRequest(index % 2 === 0 ? 'gRPC' : 'HTTP', 'ada'), 'whole'),
    );
    await Promise.all(calls);
  }
}
