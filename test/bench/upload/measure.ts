import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { bashScript } from '../../harness/bash-script.ts';
import { peakResidentMb } from '../../harness/resident-memory.ts';

export interface Run {
  seconds: number;
  /** User and system time of the process. */
  cpuSeconds: number;
  peakMb: number;
}

export interface Command {
  program: string;
  args: string[];
  environment?: Record<string, string>;
}

const POLL_MS = 20;

/** Runs a program until it ends, and measures the whole process with its start. @throws unless it succeeds */
export async function measure({ program, args, environment = {} }: Command): Promise<Run> {
  // `times` of the shell is the only way to get the CPU time of a child that has ended.
  const script = '"$@"; code=$?; times >&2; exit $code';
  const startMs = performance.now();
  const shell = spawn('bash', bashScript(script, program, ...args), {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...environment },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const exit = once(shell, 'exit');
  let isRunning = true;
  const peak = peakOfChild(shell.pid ?? 0, () => isRunning);
  const [errors, [code]] = await Promise.all([text(shell.stderr), exit]);
  const seconds = (performance.now() - startMs) / 1_000;
  isRunning = false;
  if (code !== 0) throw new Error(`${program} ended with ${code}:\n${errors}`);
  return { seconds, cpuSeconds: cpuSecondsIn(errors), peakMb: await peak };
}

async function peakOfChild(shell: number, isRunning: () => boolean): Promise<number> {
  let peak = 0;
  while (isRunning()) {
    const children = await readFile(`/proc/${shell}/task/${shell}/children`, 'utf8').catch(() => '');
    const child = Number(children.split(' ')[0]);
    // Between the two reads, the child can have ended.
    if (child > 0) peak = Math.max(peak, (await peakResidentMb(child).catch(() => 0)) || 0);
    await sleep(POLL_MS);
  }
  return peak;
}

/** The last line is `0m1.230s 0m0.450s`: user and system time of the children. */
function cpuSecondsIn(output: string): number {
  const times = [...(output.trimEnd().split('\n').at(-1) ?? '').matchAll(/(\d+)m([\d.]+)s/g)];
  return times.reduce((sum, [, minutes, seconds]) => sum + Number(minutes) * 60 + Number(seconds), 0);
}
