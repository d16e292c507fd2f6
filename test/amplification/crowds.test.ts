import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { LONG } from '../harness/long-form.ts';
import { residentMb } from '../harness/resident-memory.ts';
import { type Case, casesOf, isSmallBomb, nameOfCase, nameOfRoute, routes, sample } from './cases.ts';
import { type Liveness, orchestratorAndOthers, watchLiveness } from './liveness.ts';
import { callOn, growHeap } from './ordinary-call.ts';
import { PROTOCOLS } from './protocols.ts';
import { type RawRequest, requestOf } from './request.ts';
import { type Extent, openSender, settled } from './sender.ts';
import { gateway, keepService, type ProbedService, type ServiceKeeper, STRANGER } from './service.ts';

vi.setConfig({ testTimeout: LONG ? 120_000 : 60_000 });

/** Requests of each kind. */
const REQUESTS = 1_000;

/** The growth of the process over all kinds, in MB: a fifth of the heap that `npm start` sets. */
const GROWTH_MAX_MB = 100;

/** Connections as a gateway has them. The port has room for them beside the connections of HTTP/1.1. */
const CONNECTIONS = 4;

/** Whole requests that wait for their answers at once. A machine of two cores must send them, too. */
const AT_ONCE = 100;

const SAMPLE_INTERVAL_MS = 20;

/** The time to wait for AT_ONCE answers. */
const ANSWERS_MAX_MS = 5_000;

/** Cases of each protocol in the long form. */
const CASES = 24;

/** A busy machine delays a single try. An error of the service delays each try. */
const TRIES = 3;

/** Callers without proof, and a gateway that sends all requests for a single user. */
const CROWDS = { strangers: STRANGER, 'one user': gateway('ada') };

const EXTENTS: readonly Extent[] = ['half open', 'whole'];

interface Kind {
  name: string;
  one: Case;
  proof: Readonly<Record<string, string>>;
  extent: Extent;
}

/** In the short form, the strangers of a protocol use one extent, and its user the other extent. */
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

/** Starts the service if necessary, and measures its memory before the crowds. */
async function watch(): Promise<Watched> {
  if (watched !== undefined) return watched;
  const service = await keeper.alive();
  const { s3Key } = await service.process
    .client(gateway('grace'))
    .createPresignedUpload({ filename: 'a.txt', mimeType: 'text/plain', md5: '0'.repeat(32) });
  const checks = orchestratorAndOthers(service, s3Key);
  await growHeap(service.ports);
  const liveness = await watchLiveness(checks);
  watched = { service, liveness, startMb: await residentMb(service.process.pid) };
  return watched;
}

async function end(): Promise<void> {
  watched?.liveness[Symbol.dispose]();
  watched = undefined;
  await keeper.end();
}

describe('1,000 requests of a kind take less than 100 MB and do not delay /livez or other users', () => {
  it.for(kinds)('$name', async ({ one, proof, extent }) => {
    let problems: string[] = [];
    for (let tried = 0; tried < TRIES; tried++) {
      const { service, liveness, startMb } = await watch();
      await liveness.report();
      const peakMb = await crowd(service, requestOf(one, proof), extent, startMb + GROWTH_MAX_MB);
      if (peakMb - startMb >= GROWTH_MAX_MB) {
        await end();
        throw new Error(
          `the process grew from ${startMb.toFixed(0)} to ${peakMb.toFixed(0)} MB, so the test ended it`,
        );
      }
      problems = await lateAnswers(liveness);
      if (problems.length === 0) break;
    }
    expect(problems).toEqual([]);
    const { ports } = (await watch()).service;
    expect([await callOn('gRPC', ports), await callOn('HTTP', ports)]).toEqual(['OK', 'OK']);
  });
});

/**
 * Sends all requests, and stops when the process has `stopMb` of memory. @returns the peak of the memory in
 * MB
 */
async function crowd(
  { process, ports }: ProbedService,
  request: RawRequest,
  extent: Extent,
  stopMb: number,
): Promise<number> {
  let peakMb = 0;
  const sampling = setInterval(async () => {
    peakMb = Math.max(peakMb, await residentMb(process.pid).catch(() => Number.POSITIVE_INFINITY));
  }, SAMPLE_INTERVAL_MS);
  const senders = Array.from({ length: CONNECTIONS }, () => openSender(ports));
  try {
    for (let sent = 0; sent < REQUESTS && peakMb < stopMb; sent += AT_ONCE) {
      const answers = Array.from({ length: AT_ONCE }, (_, index) =>
        senders[index % CONNECTIONS]?.send(request, extent),
      );
      if (extent === 'whole')
        await Promise.race([Promise.all(answers), untilTooLarge(() => peakMb >= stopMb)]);
      else await sleep(SAMPLE_INTERVAL_MS);
    }
    if (peakMb < stopMb) await settled(senders);
    await sleep(2 * SAMPLE_INTERVAL_MS);
    return peakMb;
  } finally {
    clearInterval(sampling);
    for (const sender of senders) sender[Symbol.dispose]();
  }
}

/** Resolves when the process is too large, but at the latest after ANSWERS_MAX_MS. */
async function untilTooLarge(isTooLarge: () => boolean): Promise<void> {
  const deadline = performance.now() + ANSWERS_MAX_MS;
  while (!isTooLarge() && performance.now() < deadline) await sleep(SAMPLE_INTERVAL_MS);
}

async function lateAnswers(liveness: Liveness): Promise<string[]> {
  const results = await liveness.report();
  return results.flatMap(({ name, problems }) =>
    problems.length === 0 ? [] : [`${name}: ${problems.slice(0, 5).join(', ')}`],
  );
}
