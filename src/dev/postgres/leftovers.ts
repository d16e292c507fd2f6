import { execFile } from 'node:child_process';
import { lstatSync } from 'node:fs';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { readPrivateFile } from '../data-directory/private-file.ts';

/**
 * How long Postgres gets for each way of ending. A fast shutdown (SIGINT) rolls back and writes a checkpoint; an
 * immediate one (SIGQUIT) leaves that to recovery at the next start; SIGKILL is for a postmaster that hears nothing,
 * and loses no committed row either. Too short: needless recoveries. Too long: a hung disk holds up the exit.
 */
export const SHUTDOWN_STEPS: readonly { readonly signal: NodeJS.Signals; readonly graceMs: number }[] = [
  { signal: 'SIGINT', graceMs: 10_000 },
  { signal: 'SIGQUIT', graceMs: 5_000 },
  { signal: 'SIGKILL', graceMs: 5_000 },
];

const POLL_MS = 10;

/**
 * Ends whatever an earlier run left behind in this data directory: a postmaster whose node was killed, or backends
 * whose postmaster was. Only for a caller that holds the directory's lock, so that nobody else's Postgres runs there.
 */
export async function endLeftovers(dataDirectory: string): Promise<void> {
  for (const { signal, graceMs } of SHUTDOWN_STEPS) {
    const deadline = Date.now() + graceMs;
    let running = await processesIn(dataDirectory);
    if (running.length > 0) {
      const postmaster = readPostmasterFile(dataDirectory)?.pid;
      const hearsForAll = postmaster !== undefined && running.includes(postmaster) && signal !== 'SIGKILL';
      for (const pid of hearsForAll ? [postmaster] : running) sendSignal(pid, signal);
    }
    while (running.length > 0 && Date.now() < deadline) {
      await sleep(POLL_MS);
      running = await processesIn(dataDirectory);
    }
    if (running.length === 0) {
      // Postgres itself takes the file for a live postmaster when its pid has gone to another process of the user.
      await rm(pidFile(dataDirectory), { force: true });
      return;
    }
  }
  throw new Error(`An earlier Postgres in ${dataDirectory} does not end, not even by SIGKILL.`);
}

/** Eight short lines and the path of the data directory. */
const POSTMASTER_FILE_MAX_BYTES = 8192;

/** What is needed of postmaster.pid. Undefined when there is no such file, or none with a pid in its first line. */
export function readPostmasterFile(dataDirectory: string): { pid: number; isReady: boolean } | undefined {
  // Postgres has written it, as the owner of the directory.
  const owner = lstatSync(dataDirectory).uid;
  const text = readPrivateFile(pidFile(dataDirectory), POSTMASTER_FILE_MAX_BYTES, owner);
  // Line 8 is the status, the one that pg_ctl goes by: "starting", "ready", "stopping". It is never localised.
  const [pid = '', , , , , , , status = ''] = text?.split('\n') ?? [];
  return /^[1-9][0-9]{0,9}$/.test(pid) ? { pid: Number(pid), isReady: status.trim() === 'ready' } : undefined;
}

function pidFile(dataDirectory: string): string {
  return join(dataDirectory, 'postmaster.pid');
}

async function processesIn(dataDirectory: string): Promise<number[]> {
  return process.platform === 'linux' ? processesByProc(dataDirectory) : processesByPs(dataDirectory);
}

/**
 * All processes of a Postgres have the data directory as their current directory. That tells them from a process that
 * got a dead postmaster's pid, finds backends without a postmaster, and holds when the directory was moved. A zombie
 * has no current directory, so one that nobody reaps does not count as running.
 */
async function processesByProc(dataDirectory: string): Promise<number[]> {
  const directory = await stat(dataDirectory);
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const checked = await Promise.all(
    pids.map(async (pid) => {
      try {
        if ((await readFile(`/proc/${pid}/comm`, 'utf8')).trim() !== 'postgres') return undefined;
        const cwd = await stat(`/proc/${pid}/cwd`);
        return cwd.ino === directory.ino && cwd.dev === directory.dev ? Number(pid) : undefined;
      } catch {
        return undefined; // gone meanwhile, or another user's
      }
    }),
  );
  return checked.filter((pid) => pid !== undefined);
}

/** Without /proc, only the recorded postmaster, if its command line names this directory. */
async function processesByPs(dataDirectory: string): Promise<number[]> {
  const pid = readPostmasterFile(dataDirectory)?.pid;
  if (pid === undefined) return [];
  try {
    const { stdout } = await promisify(execFile)('ps', ['-o', 'command=', '-p', String(pid)]);
    return stdout.includes('postgres') && stdout.includes(dataDirectory) ? [pid] : [];
  } catch {
    return []; // ps exits with 1 when there is no such process
  }
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
