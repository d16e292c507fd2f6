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
import { type MeasuredTable, writeReadmeTable } from '../harness/readme-table.ts';
import { residentMb } from '../harness/resident-memory.ts';
import { compareAnswers } from './answers.ts';
import { BUDGETS, overBudget, slowStarts } from './budgets.ts';
import { CALLS, fill, renewVerification } from './calls.ts';
import { measureEvents } from './events.ts';
import { eventsSummary, type Figures, summary } from './report.ts';
import { CALLS_AT_ONCE, CALLS_PER_ROUND, measure, ROUNDS } from './rounds.ts';
import { measureScale } from './scale.ts';
import { startServers } from './servers.ts';
import { startStack } from './stack.ts';
import { measureStarts } from './starts.ts';

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
    print(`${call.name}: measured`);
  }
  const memory = await Promise.all(
    stacks.map(async ({ name, service }) => ({ name, mb: await residentMb(service.pid) })),
  );
  const how = { rounds: ROUNDS, callsPerRound: CALLS_PER_ROUND, callsAtOnce: CALLS_AT_ONCE };
  const events = await measureEvents(servers);
  const table = [summary({ figures, memory, starts }, how), eventsSummary(events)].join('\n');
  print(`\n${table}\n`);
  const over = overBudget([...figures, events.create], BUDGETS);
  conclude('bench', table, [...over, ...slowStarts(starts)]);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
