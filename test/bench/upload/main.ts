/**
 * Measures the command `upload` beside other programs: `npm run bench:upload [ROUNDS] [CASE…]`, CASE as a number from 1.
 *
 * Each program runs as a process of its own, with its start, in turns with the others. All of them send the same files
 * to one versitygw. Only `upload` also hashes, deduplicates and confirms each file, through the service and Debian's
 * Postgres. Without CASE, the table goes into test/README.md.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { newUser } from '../../harness/random.ts';
import { measuredOn, writeReadmeTable } from '../../harness/readme-table.ts';
import { temporaryDirectory } from '../../harness/temporary-directory.ts';
import { median } from '../report.ts';
import { type Case, listCases } from './cases.ts';
import { measure, type Run } from './measure.ts';
import { startUploadServers } from './servers.ts';

const MiB = 1024 ** 2;
const [rounds = 3, ...chosen] = process.argv.slice(2).map(Number);

await using temporary = await temporaryDirectory();
await using servers = await startUploadServers();
const all = await listCases(join(temporary.path, 'caches'));
const cases = chosen.length === 0 ? all : chosen.flatMap((number) => all[number - 1] ?? []);
const rows: string[] = [];
for (const one of cases) {
  for (const row of await runCase(one)) {
    rows.push(row);
    process.stdout.write(`${row}\n`);
  }
}
const table = [
  `${measuredOn()}; median of ${rounds} interleaved rounds.`,
  '',
  '| files | program | seconds | rate | CPU ms per file | peak MB |',
  '|---|---|---|---|---|---|',
  ...rows,
].join('\n');
if (chosen.length === 0) writeReadmeTable('upload', table);

async function runCase(one: Case): Promise<string[]> {
  const directory = join(temporary.path, 'files');
  await mkdir(directory);
  const path = await writeFiles(directory, one);
  const runs = one.contestants.map((): Run[] => []);
  // The first round warms up and is not counted.
  for (let round = 0; round <= rounds; round++) {
    for (const [i, contestant] of one.contestants.entries()) {
      const command = contestant.command(servers[one.network], path, newUser());
      if (one.isSecondRun) await measure(command);
      const run = await measure(command);
      if (round > 0) runs[i]?.push(run);
      await servers.empty();
    }
  }
  await rm(directory, { recursive: true });
  return one.contestants.map(({ name }, i) => rowOf(one, name, runs[i] ?? []));
}

/** Writes files with random bytes. Returns the path to upload: the directory, or its only file. */
async function writeFiles(directory: string, { files, bytesPerFile }: Case): Promise<string> {
  for (let i = 0; i < files; i++) {
    await using file = await open(join(directory, `file-${i}.bin`), 'w');
    for (let at = 0; at < bytesPerFile; at += MiB) {
      const piece = randomBytes(Math.min(MiB, bytesPerFile - at));
      await file.write(piece, 0, piece.length, at);
    }
  }
  return files === 1 ? join(directory, 'file-0.bin') : directory;
}

function rowOf({ name, files, bytesPerFile }: Case, contestant: string, runs: readonly Run[]): string {
  const seconds = median(runs.map((run) => run.seconds));
  const isLarge = bytesPerFile >= MiB;
  const rate = isLarge
    ? `${((files * bytesPerFile) / seconds / 1e6).toFixed(0)} MB/s`
    : `${(files / seconds).toFixed(0)} files/s`;
  const cpu = (median(runs.map((run) => run.cpuSeconds)) / files) * 1_000;
  const peak = median(runs.map((run) => run.peakMb));
  const cells = [
    name,
    contestant,
    seconds.toFixed(2),
    rate,
    cpu.toFixed(files === 1 ? 0 : 2),
    peak.toFixed(0),
  ];
  return `| ${cells.join(' | ')} |`;
}
