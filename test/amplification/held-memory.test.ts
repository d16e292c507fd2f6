import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { LONG } from '../harness/long-form.ts';
import { PER_BYTE_CLIENTS } from './byte-by-byte.ts';
import { type Case, casesOf, nameOfCase, nameOfRoute, type Route, routes, sample } from './cases.ts';
import { callOn, warmUp } from './ordinary-call.ts';
import { report } from './outcome.ts';
import { httpVersionOf } from './protocols.ts';
import { quietHeld } from './quiet-held.ts';
import { requestOf } from './request.ts';
import { openSender, settled } from './sender.ts';
import { gateway, keepService, type ProbedService, type ServiceKeeper } from './service.ts';

vi.setConfig({ testTimeout: LONG ? 600_000 : 30_000 });

/**
 * Bytes of heap that a pending request may hold for each byte sent. The received bytes count 1, and their
 * concatenation 1 more. The rest is for the objects that Node keeps for each frame.
 */
const HELD_PER_SENT_BYTE_MAX = 20;

/** The limit for all pending copies together: a fifth of the heap that `npm start` sets. */
const HELD_MAX_BYTES = 100e6;

/**
 * Copies of a request that are pending at once: many, so that the heap of the process itself does not matter.
 */
const COPIES = 64;

/**
 * The difference of two measurements of the same state, because code is compiled and caches fill. It is
 * subtracted once from the sum of all copies.
 */
const NOISE_BYTES = 1.5e6;

/** A connection over HTTP/1.1 costs this much by itself. On a busy machine some of it appears only with the body. */
const CONNECTION_BYTES = 60e3;

/** Copies of a first measurement. If it predicts too much memory for all copies, the others are not sent. */
const FIRST_COPIES = 2;

/** Memory that is only freed late is not measured in each try, but memory that a request holds is. */
const TRIES = 3;

/** Cases of each route. */
const CASES = LONG ? 12 : 1;

let keeper: ServiceKeeper;
beforeAll(async () => {
  keeper = await keepService();
  await warmUp((await keeper.alive()).ports);
});
afterAll(() => keeper?.[Symbol.asyncDispose]());

describe('a pending request holds at most 20 bytes of heap for each byte sent', () => {
  it.for(routes().map((route, index) => ({ name: nameOfRoute(route), route, index })))(
    '$name',
    async ({ route, index }, context) => {
      const problems: string[] = [];
      const worst = { ratio: 0, name: '' };
      const service = await keeper.alive();
      const emptyBytes = await emptyRequests(service, route);
      for (const one of sample(casesOf(route), CASES, index)) {
        const { ratio, heldBytes } = await leastOf(TRIES, () => hold(service, one, emptyBytes));
        if (ratio > worst.ratio) Object.assign(worst, { ratio, name: nameOfCase(one) });
        if (ratio >= HELD_PER_SENT_BYTE_MAX || heldBytes >= HELD_MAX_BYTES)
          problems.push(
            `${nameOfCase(one)}: ${ratio.toFixed(0)} × its bytes, ${megabytes(heldBytes)} in all`,
          );
      }
      report(context, { route: nameOfRoute(route), held: worst });
      expect(problems).toEqual([]);
      expect(await callOn(route.protocol.port, service.ports)).toBe('OK');
    },
  );
});

describe('a request that is sent byte by byte holds at most 20 bytes of heap for each byte sent', () => {
  it.for(Object.entries(PER_BYTE_CLIENTS).map(([name, client]) => ({ name, client })))(
    '$name',
    async ({ client }) => {
      const { probe, ports } = await keeper.alive();
      const baseBytes = await quietHeld(probe);
      const { sentBytes, close } = await client(ports);
      const heldBytes = (await probe.heldBytes()) - baseBytes;
      close();
      expect(heldBytes / sentBytes).toBeLessThan(HELD_PER_SENT_BYTE_MAX);
      expect(heldBytes).toBeLessThan(HELD_MAX_BYTES);
    },
  );
});

interface Held {
  /** Heap bytes for each byte sent, without the heap that empty requests hold. */
  ratio: number;
  heldBytes: number;
}

async function hold({ probe, ports }: ProbedService, one: Case, emptyBytes: number): Promise<Held> {
  const request = requestOf(one, gateway('ada'));
  const baseBytes = await quietHeld(probe);
  using sender = openSender(ports);
  const measure = async (copies: number): Promise<Held> => {
    const heldBytes = (await quietHeld(probe)) - baseBytes;
    const beyondBytes = heldBytes - (emptyBytes * copies) / COPIES - NOISE_BYTES;
    return { ratio: Math.max(0, beyondBytes) / sender.wireBytes(), heldBytes };
  };
  for (let copy = 0; copy < FIRST_COPIES; copy++) void sender.send(request, 'half open');
  await settled([sender]);
  if ((await probe.heldAtMostBytes()) - baseBytes > (HELD_MAX_BYTES * FIRST_COPIES) / COPIES) {
    const held = await measure(FIRST_COPIES);
    if (held.heldBytes > (HELD_MAX_BYTES * FIRST_COPIES) / COPIES) return held;
  }
  for (let copy = FIRST_COPIES; copy < COPIES; copy++) void sender.send(request, 'half open');
  await settled([sender]);
  // With `return` alone, the sender would be closed before the measurement ends.
  return await measure(COPIES);
}

/** The heap of empty requests, by protocol and HTTP version. */
const emptyBytesOf = new Map<string, number>();

/** The heap that COPIES requests without a message hold: streams, headers and timers. */
async function emptyRequests({ probe, ports }: ProbedService, route: Route): Promise<number> {
  const kind = `${route.protocol.name} ${httpVersionOf(route.protocol, route.method)}`;
  const known = emptyBytesOf.get(kind);
  if (known !== undefined) return known;
  const [nothing] = casesOf(route);
  if (nothing === undefined) return 0;
  const request = { ...requestOf(nothing, gateway('ada')), body: Buffer.alloc(0) };
  // Each copy over HTTP/1.1 has a connection of its own.
  let emptyBytes = httpVersionOf(route.protocol, route.method) === 1 ? COPIES * CONNECTION_BYTES : 0;
  for (let tried = 0; tried < TRIES; tried++) {
    const baseBytes = await quietHeld(probe);
    using sender = openSender(ports);
    for (let copy = 0; copy < COPIES; copy++) void sender.send(request, 'half open');
    await settled([sender]);
    emptyBytes = Math.max(emptyBytes, (await quietHeld(probe)) - baseBytes);
  }
  emptyBytesOf.set(kind, emptyBytes);
  return emptyBytes;
}

/** The lowest of several measurements. Only a measurement above the limit is repeated. */
async function leastOf(tries: number, once: () => Promise<Held>): Promise<Held> {
  let least = await once();
  for (let tried = 1; tried < tries && least.ratio >= HELD_PER_SENT_BYTE_MAX; tried++) {
    const next = await once();
    if (next.ratio < least.ratio) least = next;
  }
  return least;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
