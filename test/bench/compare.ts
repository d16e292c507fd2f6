/**
 * Compares the cost of a call in this checkout and in another: `node test/bench/compare.ts DIRECTORY [CALLS]`.
 *
 * Both services run at the same time, each with a Postgres and an object store of its own, and are called in
 * turns, so that other load on the machine affects both. The result is the server's CPU time per call, as the
 * median of the rounds.
 */
import { cpus } from 'node:os';
import { resolve } from 'node:path';
import { type Load, offer } from '../harness/load.ts';
import { PROJECT, startService } from '../harness/service-process.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { cpuMicroseconds } from './cpu.ts';
import { median } from './report.ts';

const CALLS_DEFAULT = 20_000;
const ROUNDS = 10;
const CALLS_AT_ONCE = 16;
const CALLS: readonly Load['call'][] = ['CreatePresignedUpload', 'ListFiles'];

const [other = '', count = CALLS_DEFAULT] = process.argv.slice(2);
const callsMax = Math.ceil(Number(count) / ROUNDS);
await using data = await temporaryDirectory();
const start = (directory: string, name: string) =>
  startService({ directory, environment: { DATA_DIR: `${data.path}/${name}` } });
await using here = await start(PROJECT, 'here');
await using there = await start(resolve(other), 'there');

print(`${new Date().toISOString()}, Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}`);
print(`${ROUNDS} rounds of ${callsMax} calls each, ${CALLS_AT_ONCE} at once\n`);
print(`| call | ${other} µs | here µs | difference |\n|---|---|---|---|`);
for (const call of CALLS) {
  // The first round warms up the JIT compiler and is not counted.
  const figures = new Map([there, here].map((service) => [service, [] as number[]]));
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [service, costs] of figures) {
      const before = await cpuMicroseconds(service.pid);
      const { codes } = await offer({
        target: service.grpc,
        call,
        users: { name: `round-${round}`, count: 100 },
        pace: { kind: 'closed', callsAtOnce: CALLS_AT_ONCE },
        timeoutMs: 10_000,
        seconds: 60,
        callsMax,
      });
      if (codes.OK !== callsMax) throw new Error(`not all calls succeeded: ${JSON.stringify(codes)}`);
      if (round > 0) costs.push(((await cpuMicroseconds(service.pid)) - before) / callsMax);
    }
  }
  const [otherCost = 0, cost = 0] = [...figures.values()].map(median);
  const difference = ((cost / otherCost - 1) * 100).toFixed(1);
  print(`| ${call} | ${otherCost.toFixed(0)} | ${cost.toFixed(0)} | ${difference} % |`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
