/**
 * What a call costs, beside what it could cost at least and what it costs when it is written as conventional:
 * `npm run bench`, `npm run bench -- --check`, `npm run bench -- --scale`.
 *
 * Three servers run at the same time, each with a database of its own, and are called in turns, so that whatever else the
 * machine does, it does to all of them. The figure that counts is the server's own CPU time per call: the wall clock
 * measures the driver as well.
 */
import { parseArgs } from 'node:util';
import { type LoadOutcome, offer } from '../harness/load.ts';
import { writeReadmeTable } from '../harness/readme-table.ts';
import { residentMb } from '../harness/resident-memory.ts';
import { compareAnswers } from './answers.ts';
import { BUDGETS, overBudget, slowStarts } from './budgets.ts';
import { CALLS, fill, type MeasuredCall, seeAgain } from './calls.ts';
import { cpuMicroseconds } from './cpu.ts';
import { type Figures, type Round, summary } from './report.ts';
import { measureScale } from './scale.ts';
import { startServers } from './servers.ts';
import { type Stack, startStack } from './stack.ts';
import { measureStarts } from './starts.ts';

const ROUNDS = 9;
const CALLS_PER_ROUND = 3_000;
/** Of each call to each stack: the JIT has to be done with what is measured, and is not after 8,000. */
const WARM_UP_CALLS = 20_000;
const CALLS_AT_ONCE = 16;

const EMPTY: MeasuredCall = {
  name: 'empty call',
  load: () => ({ call: 'DeleteFile', users: { name: 'nobody', count: 100 } }),
  // Its two servers answer nothing else before.
  warmUpCalls: 40_000,
};

const SCALE_ROWS = 10_000_000;

const { values: options, positionals } = parseArgs({
  options: { check: { type: 'boolean' }, scale: { type: 'boolean' } },
  allowPositionals: true,
});
if (options.scale) await scale(Number(positionals[0] ?? SCALE_ROWS));
else await main();

async function scale(rows: number): Promise<void> {
  const { table, over } = await measureScale(rows);
  print(`\n${table}\n`);
  conclude('scale', table, over);
}

/** A check says what is over its budget, and anything else writes down what was measured. */
function conclude(name: string, table: string, over: readonly string[]): void {
  for (const line of over) print(`over its budget: ${line}`);
  if (options.check) process.exitCode = over.length > 0 ? 1 : 0;
  else writeReadmeTable(name, table);
}

async function main(): Promise<void> {
  await using servers = await startServers();
  const starts = await measureStarts(servers);
  print('starts: measured');
  await using ours = await startStack('ours', {
    ...(await servers.environment()),
    // Nothing is swept that another stack would not have to sweep.
    SWEEP_INTERVAL_SECONDS: '3600',
  });
  await using conventional = await startStack('conventional', await servers.environment(), 'conventional.ts');
  await using minimal = await startStack('minimal', await servers.environment(), 'minimal.ts');
  await using emptyOurs = await startStack('ours', await servers.environment(), 'empty-ours.ts');
  await using emptyFloor = await startStack('minimal', await servers.environment(), 'empty-minimal.ts');
  const stacks = [ours, conventional, minimal];

  await Promise.all(stacks.map(fill));
  await compareAnswers(stacks);
  print('every answer of the three was compared, and is the same\n');

  const figures: Figures[] = [];
  figures.push(await measure(EMPTY, [emptyOurs, emptyFloor]));
  for (const call of CALLS) {
    await Promise.all(stacks.map(seeAgain));
    figures.push(await measure(call, stacks));
  }
  const memory = await Promise.all(
    stacks.map(async ({ name, service }) => ({ name, mb: await residentMb(service.pid) })),
  );
  const how = { rounds: ROUNDS, callsPerRound: CALLS_PER_ROUND, callsAtOnce: CALLS_AT_ONCE };
  const table = summary({ figures, memory, starts }, how);
  print(`\n${table}\n`);
  conclude('bench', table, [...overBudget(figures, BUDGETS), ...slowStarts(starts)]);
}

/** Rounds of A B C A B C, after each has been warmed up. */
async function measure(call: MeasuredCall, stacks: readonly Stack[]): Promise<Figures> {
  const rounds = new Map<string, Round[]>(stacks.map(({ name }) => [name, []]));
  for (const stack of stacks) await run(call, stack, 'warm', call.warmUpCalls ?? WARM_UP_CALLS);
  for (let round = 0; round < ROUNDS; round++) {
    for (const stack of stacks) {
      rounds.get(stack.name)?.push(await run(call, stack, `round${round}`, CALLS_PER_ROUND));
    }
  }
  print(`${call.name}: measured`);
  return { call: call.name, rounds };
}

async function run(call: MeasuredCall, stack: Stack, round: string, calls: number): Promise<Round> {
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

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
