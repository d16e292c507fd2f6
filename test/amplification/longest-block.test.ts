import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { LONG } from '../harness/long-form.ts';
import type { Answer } from './answer.ts';
import { type Case, casesOf, fewCasesOf, nameOfCase, nameOfRoute, routes } from './cases.ts';
import { callOn, warmUp } from './ordinary-call.ts';
import { report } from './outcome.ts';
import { requestOf } from './request.ts';
import { openSender, type Sender } from './sender.ts';
import { gateway, keepService, type ServiceKeeper } from './service.ts';

vi.setConfig({ testTimeout: LONG ? 600_000 : 30_000 });

/**
 * The time for which a single message may block all other calls: a tenth of the delay that a caller notices.
 */
const BLOCK_MAX_MS = 50;

/** Garbage collection and compilation affect one try. The cost of a message affects each try. */
const TRIES = 3;

/** A process that does not answer for this long is ended, because it may be blocked for minutes. */
const PATIENCE_MS = 4_000;

let keeper: ServiceKeeper;
beforeAll(async () => {
  keeper = await keepService();
  // The first calls of a process compile code, which blocks longer than any message.
  const { ports, probe } = await keeper.alive();
  await warmUp(ports);
  await probe.blockMs();
});
afterAll(() => keeper?.[Symbol.asyncDispose]());

/**
 * The most bytes of an answer that is an error. The C library of gRPC, which the clients in Python, Ruby and C++ use,
 * refuses headers of more than 8 KiB.
 */
const ERROR_MAX_BYTES = 8 * 1024;

describe('no message blocks the event loop for 50 ms or is answered with INTERNAL', () => {
  it.for(routes().map((route) => ({ name: nameOfRoute(route), route })))(
    '$name',
    async ({ route }, context) => {
      const problems: string[] = [];
      const slow = new Set<string>();
      const worst = { blockMs: 0, name: '' };
      const { ports } = await keeper.alive();
      using sender = openSender(ports);
      for (const one of LONG ? casesOf(route) : fewCasesOf(route)) {
        // A message that is slow already would be slower in a larger size.
        if (slow.has(one.message.kind)) continue;
        const { blockMs, answer } = await leastOf(TRIES, () => put(sender, one));
        if (blockMs > worst.blockMs) Object.assign(worst, { blockMs, name: nameOfCase(one) });
        if (blockMs >= BLOCK_MAX_MS) {
          slow.add(one.message.kind);
          problems.push(`${nameOfCase(one)}: ${blockMs.toFixed(0)} ms`);
        }
        if (['INTERNAL', 'UNKNOWN', 'nothing'].includes(answer.code))
          problems.push(`${nameOfCase(one)}: ${answer.code} ${answer.text.slice(0, 100)}`);
        if (answer.code !== 'OK' && answer.bytes > ERROR_MAX_BYTES)
          problems.push(`${nameOfCase(one)}: an error of ${answer.bytes} bytes`);
        if (answer.code === 'nothing') {
          await keeper.end();
          break;
        }
      }
      report(context, { route: nameOfRoute(route), block: { ms: worst.blockMs, name: worst.name } });
      expect(problems).toEqual([]);
      expect(await callOn(route.protocol.port, ports)).toBe('OK');
    },
  );
});

interface Outcome {
  blockMs: number;
  answer: Answer;
}

async function put(sender: Sender, one: Case): Promise<Outcome> {
  const { probe } = await keeper.alive();
  const request = requestOf(one, gateway('ada'));
  await probe.blockMs();
  const answer = await Promise.race([
    sender.send(request, 'whole'),
    sleep(PATIENCE_MS, { code: 'nothing', text: `in ${PATIENCE_MS} ms`, bytes: 0 }),
  ]);
  return { blockMs: answer.code === 'nothing' ? PATIENCE_MS : await probe.blockMs(), answer };
}

/** The shortest of several measurements. Only a measurement above the limit is repeated. */
async function leastOf(tries: number, once: () => Promise<Outcome>): Promise<Outcome> {
  let least = await once();
  for (
    let tried = 1;
    tried < tries && least.blockMs >= BLOCK_MAX_MS && least.answer.code !== 'nothing';
    tried++
  ) {
    const next = await once();
    if (next.blockMs < least.blockMs || next.answer.code === 'nothing') least = next;
  }
  return least;
}
