import { type LoadOutcome, offer } from '../harness/load.ts';
import type { MeasuredCall } from './calls.ts';
import { cpuMicroseconds } from './cpu.ts';
import type { Figures, Round } from './report.ts';
import type { Stack } from './stack.ts';

export const ROUNDS = 9;
export const CALLS_PER_ROUND = 3_000;
/**
 * Per call and stack. The JIT compiler must be done with the measured code, and is not done after 8,000
 * calls.
 */
const WARM_UP_CALLS = 20_000;
export const CALLS_AT_ONCE = 16;

/** Warms all stacks up, then calls them in turns: A B C A B C. */
export async function measure(call: MeasuredCall, stacks: readonly Stack[]): Promise<Figures> {
  const rounds = new Map<string, Round[]>(stacks.map(({ name }) => [name, []]));
  for (const stack of stacks) await run(call, stack, 'warm', call.warmUpCalls ?? WARM_UP_CALLS);
  for (let round = 0; round < ROUNDS; round++) {
    for (const stack of stacks) {
      rounds.get(stack.name)?.push(await run(call, stack, `round${round}`, CALLS_PER_ROUND));
    }
  }
  return { call: call.name, rounds };
}

export async function run(call: MeasuredCall, stack: Stack, round: string, calls: number): Promise<Round> {
  const name = `${call.name.replace(/\W/g, '')}-${round}`;
  await call.prepare?.(stack, name, calls);
  const { pid, grpc } = stack.service;
  const [cpu, postgres] = [await cpuMicroseconds(pid), await stack.postgresMicroseconds()];
  const outcome = await offer({
    target: grpc,
    ...call.load(name),
    pace: { kind: 'closed', callsAtOnce: CALLS_AT_ONCE },
    timeoutMs: 10_000,
    seconds: 300,
    callsMax: calls,
  });
  assertAllOk(outcome, `${stack.name}, ${call.name}`);
  return {
    cpuMicroseconds: ((await cpuMicroseconds(pid)) - cpu) / outcome.calls,
    postgresMicroseconds: ((await stack.postgresMicroseconds()) - postgres) / outcome.calls,
    callsPerSecond: outcome.calls / outcome.seconds,
    p50Ms: outcome.okMs.p50,
    p99Ms: outcome.okMs.p99,
  };
}

function assertAllOk({ codes, calls }: LoadOutcome, what: string): void {
  if (codes.OK !== calls) throw new Error(`${what}: not all calls succeeded: ${JSON.stringify(codes)}`);
}
