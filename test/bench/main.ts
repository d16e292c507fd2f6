/**
 * Compares the cost of a call in the service with two other stacks: `minimal`, which is the least that a call
 * can cost, and `conventional`, which is written in the usual way with the same packages. `npm run bench`
 * writes the result into the README, `npm run bench -- --check` compares it with the budgets, `npm run bench
 * -- --scale` measures a large table.
 *
 * The three servers run at the same time, each with a database of its own, and are called in turns, so that
 * other load on the machine affects all of them. The result is the server's CPU time per call, because the
 * wall clock also measures the client.
 */
import { parseArgs } from 'node:util';
import { type LoadOutcome, offer } from '../harness/load.ts';
import { type MeasuredTable, writeReadmeTable } from '../harness/readme-table.ts';
import { residentMb } from '../harness/resident-memory.ts';
import { compareAnswers } from './answers.ts';
import { BUDGETS, overBudget, slowStarts } from './budgets.ts';
import { CALLS, fill, type MeasuredCall, renewVerification } from './calls.ts';
import { cpuMicroseconds } from './cpu.ts';
import { type Figures, type Round, summary } from './report.ts';
import { measureScale } from './scale.ts';
import { startServers } from './servers.ts';
import { type Stack, startStack } from './stack.ts';
import { measureStarts } from './starts.ts';

const ROUNDS = 9;
const CALLS_PER_ROUND = 3_000;
/**
 * Per call and stack. The JIT compiler must be done with the measured code, and is not done after 8,000
 * calls.
 */
const WARM_UP_CALLS = 20_000;
const CALLS_AT_ONCE = 16;

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

/** With `--check`, exceeded budgets set the exit code. Otherwise the table goes into the README. */
function conclude(name: MeasuredTable, table: string, over: readonly string[]): void {
  for (const line of over) print(`over budget: ${line}`);
  if (options.check) process.exitCode = over.length > 0 ? 1 : 0;
  else writeReadmeTable(name, table);
}

async function main(): Promise<void> {
  await using servers = await startServers();
  const starts = await measureStarts(servers);
  print('starts: measured');
  await using ours = await startStack('ours', {
    ...(await servers.environment()),
    // No sweeps during the bench, because the other stacks have no sweeper.
    SWEEP_INTERVAL_SECONDS: '3600',
  });
  await using conventional = await startStack('conventional', await servers.environment(), 'conventional.ts');
  await using minimal = await startStack('minimal', await servers.environment(), 'minimal.ts');
  const stacks = [ours, conventional, minimal];

  await Promise.all(stacks.map(fill));
  await compareAnswers(stacks);
  print('the three stacks return the same responses\n');

  const figures: Figures[] = [];
  for (const call of CALLS) {
    await Promise.all(stacks.map(renewVerification));
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

/** Warms all stacks up, then calls them in turns: A B C A B C. */
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
