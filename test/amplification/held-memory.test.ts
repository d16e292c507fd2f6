import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { LONG } from '../harness/long-form.ts';
import { PER_BYTE_CLIENTS } from './byte-by-byte.ts';
import { type Case, casesOf, nameOfCase, nameOfRoute, type Route, routes, sample } from './cases.ts';
import { callOn } from './ordinary-call.ts';
import { report } from './outcome.ts';
import { httpVersionOf } from './protocols.ts';
import { requestOf } from './request.ts';
import { openSender, settled } from './sender.ts';
import { gateway, keepService, type ProbedService, type ServiceKeeper } from './service.ts';

vi.setConfig({ testTimeout: LONG ? 600_000 : 30_000 });

/**
 * Bytes of heap that a pending request may hold for each byte of it on the wire. Its own bytes are one, and as much
 * again while they are put together; the rest is room for what Node keeps for each frame.
 */
const HELD_PER_WIRE_BYTE_MAX = 20;

/** All pending copies together: a fifth of the heap that `npm start` gives. */
const HELD_MAX_BYTES = 100e6;

/** Pending at once. Many, so that what the process keeps for itself does not count. */
const COPIES = 64;

/** By so much two measurements of the same differ: code is compiled, caches fill. All copies together are held against it. */
const NOISE_BYTES = 1.5e6;

/** A connection of HTTP/1.1 costs so much whatever is sent on it, sometimes before its body and sometimes with it. */
const CONNECTION_BYTES = 60e3;

/** A first look: what would be too much in all copies is not sent in all of them. */
const FIRST_COPIES = 2;

/** What is freed late is not there at the next try; what a request holds is. */
const TRIES = 3;

/** Of each route. */
const CASES = LONG ? 12 : 1;

let keeper: ServiceKeeper;
beforeAll(async () => {
  keeper = await keepService();
  const { ports } = await keeper.alive();
  for (let call = 0; call < 20; call++)
    for (const port of ['gRPC', 'HTTP'] as const) await callOn(port, ports);
});
afterAll(() => keeper?.[Symbol.asyncDispose]());

describe('a request that has not ended holds little more than its bytes', () => {
  it.for(routes().map((route, index) => ({ name: nameOfRoute(route), route, index })))(
    '$name',
    async ({ route, index }, context) => {
      const faults: string[] = [];
      const worst = { ratio: 0, name: '' };
      const service = await keeper.alive();
      const emptyBytes = await emptyRequests(service, route);
      for (const one of sample(casesOf(route), CASES, index)) {
        const { ratio, heldBytes } = await leastOf(TRIES, () => hold(service, one, emptyBytes));
        if (ratio > worst.ratio) Object.assign(worst, { ratio, name: nameOfCase(one) });
        if (ratio >= HELD_PER_WIRE_BYTE_MAX || heldBytes >= HELD_MAX_BYTES)
          faults.push(`${nameOfCase(one)}: ${ratio.toFixed(0)} × its bytes, ${megabytes(heldBytes)} in all`);
      }
      report(context, { route: nameOfRoute(route), held: worst });
      expect(faults).toEqual([]);
      expect(await callOn(route.protocol.port, service.ports)).toBe('OK');
    },
  );
});

describe('a request that comes byte by byte holds no more', () => {
  it.for(Object.entries(PER_BYTE_CLIENTS).map(([name, client]) => ({ name, client })))(
    '$name',
    async ({ client }) => {
      const { probe, ports } = await keeper.alive();
      const baseBytes = await quietHeld(probe);
      const { sentBytes, close } = await client(ports);
      const heldBytes = (await probe.heldBytes()) - baseBytes;
      close();
      expect(heldBytes / sentBytes).toBeLessThan(HELD_PER_WIRE_BYTE_MAX);
      expect(heldBytes).toBeLessThan(HELD_MAX_BYTES);
    },
  );
});

interface Held {
  /** Beyond what empty requests hold, for each byte on the wire. */
  ratio: number;
  heldBytes: number;
}

async function hold({ probe, ports }: ProbedService, one: Case, emptyBytes: number): Promise<Held> {
  const request = requestOf(one, gateway('ada'));
  const baseBytes = await quietHeld(probe);
  using sender = openSender(ports);
  const measure = async (copies: number): Promise<Held> => {
    const heldBytes = (await probe.heldBytes()) - baseBytes;
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
  return measure(COPIES);
}

/** By protocol and version of HTTP. */
const emptyBytesOf = new Map<string, number>();

/** What as many requests hold that have no message yet: streams, headers and timers. */
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
    emptyBytes = Math.max(emptyBytes, (await probe.heldBytes()) - baseBytes);
  }
  emptyBytesOf.set(kind, emptyBytes);
  return emptyBytes;
}

/** Of 64 connections that are still being closed, the heap holds 3 MB; fewer than two do not count. */
const QUIET_BYTES = 100e3;

/** After the connections of the case before have gone: what is held does not become less any more. */
async function quietHeld(probe: ProbedService['probe']): Promise<number> {
  let beforeBytes = Number.POSITIVE_INFINITY;
  for (;;) {
    await sleep(10);
    const heldBytes = await probe.heldBytes();
    if (heldBytes > beforeBytes - QUIET_BYTES) return heldBytes;
    beforeBytes = heldBytes;
  }
}

/** Tries again only what was too much. */
async function leastOf(tries: number, once: () => Promise<Held>): Promise<Held> {
  let least = await once();
  for (let tried = 1; tried < tries && least.ratio >= HELD_PER_WIRE_BYTE_MAX; tried++) {
    const next = await once();
    if (next.ratio < least.ratio) least = next;
  }
  return least;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
