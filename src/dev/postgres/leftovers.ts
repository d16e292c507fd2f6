/** Ends the Postgres processes that a killed service left behind, and reads `postmaster.pid`. */
import { execFile } from 'node:child_process';
import { lstatSync } from 'node:fs';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { readPrivateFile } from '../data-directory/private-file.ts';

/**
 * The time that Postgres gets for each kind of shutdown. A fast shutdown (SIGINT) rolls back and writes a
 * checkpoint. An immediate shutdown (SIGQUIT) leaves that to the recovery at the next start. SIGKILL ends a
 * postmaster that does not react, and loses no committed row either. Shorter times cause needless recoveries.
 * Longer times let a hung disk delay the exit.
 */
export const SHUTDOWN_STEPS: readonly { readonly signal: NodeJS.Signals; readonly graceMs: number }[] = [
  { signal: 'SIGINT', graceMs: 10_000 },
  { signal: 'SIGQUIT', graceMs: 5_000 },
  { signal: 'SIGKILL', graceMs: 5_000 },
];

const POLL_MS = 10;

/**
 * Ends the processes that an earlier run left behind in this data directory: a postmaster whose service was
 * killed, or backends whose postmaster was killed. The caller must hold the lock of the directory; otherwise
 * this function would end the Postgres of a running service.
 */
export async function endLeftovers(dataDirectory: string): Promise<void> {
  for (const { signal, graceMs } of SHUTDOWN_STEPS) {
    const deadline = Date.now() + graceMs;
    let running = await processesIn(dataDirectory);
    if (running.length > 0) {
      const postmaster = readPostmasterFile(dataDirectory)?.pid;
      const postmasterEndsAll =
        postmaster !== undefined && running.includes(postmaster) && signal !== 'SIGKILL';
      for (const pid of postmasterEndsAll ? [postmaster] : running) sendSignal(pid, signal);
    }
    while (running.length > 0 && Date.now() < deadline) {
      await sleep(POLL_MS);
      running = await processesIn(dataDirectory);
    }
    if (running.length === 0) {
      // If another process of the user has got the pid since, Postgres would take that process for a live
      // postmaster.
      await rm(pidFile(dataDirectory), { force: true });
      return;
    }
  }
  throw new Error(`An earlier Postgres in ${dataDirectory} does not end, not even by SIGKILL.`);
}

/**
 * The file has eight short lines. One of them is the path of the data directory, at most 4,096 bytes on
 * Linux.
 */
const POSTMASTER_FILE_MAX_BYTES = 8192;

/** Reads postmaster.pid. Undefined when there is no such file, or when its first line is not a pid. */
export function readPostmasterFile(dataDirectory: string): { pid: number; isReady: boolean } | undefined {
  // Postgres wrote the file, so the owner of the file is the owner of the directory.
  const owner = lstatSync(dataDirectory).uid;
  const text = readPrivateFile(pidFile(dataDirectory), POSTMASTER_FILE_MAX_BYTES, owner);
  // Line 8 is the status that pg_ctl uses: "starting", "ready" or "stopping". It is never localised.
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
 * Finds processes by their current directory, because all processes of a Postgres server have the data
 * directory as their current directory. A process that got the pid of a dead postmaster has another current
 * directory. The check also finds backends whose postmaster is dead, and works after the directory was moved.
 * A zombie has no current directory, so a zombie does not count as running.
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
        return undefined; // the process has ended, or belongs to another user
      }
    }),
  );
  return checked.filter((pid) => pid !== undefined);
}

/**
 * Finds only the postmaster in postmaster.pid, and only if its command line contains the data directory. For
 * systems without /proc.
 */
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
