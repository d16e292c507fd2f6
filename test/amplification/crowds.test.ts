import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { LONG } from '../harness/long-form.ts';
import { residentMb } from '../harness/resident-memory.ts';
import { type Case, casesOf, isSmallBomb, nameOfCase, nameOfRoute, routes, sample } from './cases.ts';
import { type Liveness, orchestratorAndOthers, watchLiveness } from './liveness.ts';
import { callOn, ordinaryRequest } from './ordinary-call.ts';
import { PROTOCOLS } from './protocols.ts';
import { type RawRequest, requestOf } from './request.ts';
import { type Extent, openSender, settled } from './sender.ts';
import { gateway, keepService, type ProbedService, type ServiceKeeper, STRANGER } from './service.ts';

vi.setConfig({ testTimeout: LONG ? 120_000 : 60_000 });

/** Of every kind. */
const REQUESTS = 1_000;

/** What the process may grow by through all of them, in MB: a fifth of the heap that `npm start` gives. */
const GROWTH_MAX_MB = 100;

/** As a gateway has them; and a port has room for them beside those of HTTP/1.1. */
const CONNECTIONS = 4;

/** Whole requests that wait for their answers at once: a machine of two cores has to send them, too. */
const AT_ONCE = 100;

/** Its heap has the size that it keeps after as many ordinary calls. */
const WARM_UP_CALLS = 1_000;

const LOOK_INTERVAL_MS = 20;

/** For as many answers as are waited for at once. */
const ANSWERS_MAX_MS = 5_000;

/** Of each protocol's cases, in the long form. */
const CASES = 24;

/** A busy machine holds up one try; a fault holds up each. */
const TRIES = 3;

/** Without proof, nobody is a user; with it, one user sends all of them. */
const CROWDS = { strangers: STRANGER, 'one user': gateway('ada') };

const EXTENTS: readonly Extent[] = ['half open', 'whole'];

interface Kind {
  name: string;
  one: Case;
  proof: Readonly<Record<string, string>>;
  extent: Extent;
}

/** In the short form, a protocol has strangers with one extent, and one user with the other. */
const kinds: Kind[] = PROTOCOLS.flatMap((protocol, index) => {
  const all = routes(protocol.port).filter((route) => route.protocol === protocol);
  const cases = LONG
    ? sample(all.flatMap(casesOf), CASES, index)
    : sample(all.flatMap(casesOf).filter(isSmallBomb), 1, index + 1);
  return cases.flatMap((one) =>
    Object.entries(CROWDS).flatMap(([crowd, proof], turn) =>
      (LONG ? EXTENTS : EXTENTS.filter((_, at) => (at + turn + index) % 2 === 0)).map((extent) => ({
        name: `${crowd}, ${extent}: ${nameOfRoute(one)}, ${nameOfCase(one)}`,
        one,
        proof,
        extent,
      })),
    ),
  );
});

interface Watched {
  service: ProbedService;
  liveness: Liveness;
  startMb: number;
}

let keeper: ServiceKeeper;
let watched: Watched | undefined;
beforeAll(async () => {
  keeper = await keepService();
});
afterAll(async () => {
  watched?.liveness[Symbol.dispose]();
  await keeper?.[Symbol.asyncDispose]();
});

/** The service, and how large it was before all crowds; another one after a crowd has ended it. */
async function watch(): Promise<Watched> {
  if (watched !== undefined) return watched;
  const service = await keeper.alive();
  const { s3Key } = await service.process
    .client(gateway('grace'))
    .createPresignedUpload({ filename: 'a.txt', mimeType: 'text/plain', md5: '0'.repeat(32) });
  const looks = orchestratorAndOthers(service, s3Key);
  using sender = openSender(service.ports);
  for (let call = 0; call < WARM_UP_CALLS; call += AT_ONCE) {
    const calls = Array.from({ length: AT_ONCE }, (_, index) =>
      sender.send(ordinaryRequest(index % 2 === 0 ? 'gRPC' : 'HTTP', 'ada'), 'whole'),
    );
    await Promise.all(calls);
  }
  const liveness = await watchLiveness(looks);
  watched = { service, liveness, startMb: await residentMb(service.process.pid) };
  return watched;
}

async function end(): Promise<void> {
  watched?.liveness[Symbol.dispose]();
  watched = undefined;
  await keeper.end();
}

describe('1,000 requests of a kind: little memory, /livez and the other users in time', () => {
  it.for(kinds)('$name', async ({ one, proof, extent }) => {
    let faults: string[] = [];
    for (let tried = 0; tried < TRIES; tried++) {
      const { service, liveness, startMb } = await watch();
      await liveness.report();
      const peakMb = await crowd(service, requestOf(one, proof), extent, startMb + GROWTH_MAX_MB);
      if (peakMb - startMb >= GROWTH_MAX_MB) {
        await end();
        throw new Error(
          `the process grew from ${startMb.toFixed(0)} to ${peakMb.toFixed(0)} MB, and was ended then`,
        );
      }
      faults = await lateAnswers(liveness);
      if (faults.length === 0) break;
    }
    expect(faults).toEqual([]);
    const { ports } = (await watch()).service;
    expect([await callOn('gRPC', ports), await callOn('HTTP', ports)]).toEqual(['OK', 'OK']);
  });
});

/** Sends all of them; resolves with the most that the process had in memory. Stops when that is too much. */
async function crowd(
  { process, ports }: ProbedService,
  request: RawRequest,
  extent: Extent,
  stopMb: number,
): Promise<number> {
  let peakMb = 0;
  const look = setInterval(async () => {
    peakMb = Math.max(peakMb, await residentMb(process.pid).catch(() => Number.POSITIVE_INFINITY));
  }, LOOK_INTERVAL_MS);
  const senders = Array.from({ length: CONNECTIONS }, () => openSender(ports));
  try {
    for (let sent = 0; sent < REQUESTS && peakMb < stopMb; sent += AT_ONCE) {
      const answers = Array.from({ length: AT_ONCE }, (_, index) =>
        senders[index % CONNECTIONS]?.send(request, extent),
      );
      if (extent === 'whole')
        await Promise.race([Promise.all(answers), untilTooLarge(() => peakMb >= stopMb)]);
      else await sleep(LOOK_INTERVAL_MS);
    }
    if (peakMb < stopMb) await settled(senders);
    await sleep(2 * LOOK_INTERVAL_MS);
    return peakMb;
  } finally {
    clearInterval(look);
    for (const sender of senders) sender[Symbol.dispose]();
  }
}

/** Or until a crowd takes so long that nothing is to be expected of it. */
async function untilTooLarge(isTooLarge: () => boolean): Promise<void> {
  const deadline = performance.now() + ANSWERS_MAX_MS;
  while (!isTooLarge() && performance.now() < deadline) await sleep(LOOK_INTERVAL_MS);
}

async function lateAnswers(liveness: Liveness): Promise<string[]> {
  const looked = await liveness.report();
  return looked.flatMap(({ name, faults }) =>
    faults.length === 0 ? [] : [`${name}: ${faults.slice(0, 5).join(', ')}`],
  );
}
