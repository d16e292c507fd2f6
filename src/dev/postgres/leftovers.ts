/** Ends the Postgres processes that a killed service left behind, and reads `postmaster.pid`. */
import { execFile } from 'node:child_process';
import { lstatSync } from 'node:fs';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { readPrivateFile } from '../data-directory/private-file.ts';

/**
 * The time that Postgres gets for each kind of shutdown. In a fast shutdown (SIGINT), Postgres rolls back open
 * transactions and writes a checkpoint. In an immediate shutdown (SIGQUIT), it does neither, so the next start does
 * a recovery. SIGKILL ends a postmaster that does not react to the other signals. None of the three loses a
 * committed row. Shorter times would cause needless recoveries. With longer times, a hung disk would delay the exit
 * for longer.
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
 *
 * @throws if a process still runs after all shutdown steps
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
      // postmaster.pid is removed, because another process of the same user may get the pid in the file. Postgres
      // would then take that process for a running postmaster and would not start.
      await rm(pidFile(dataDirectory), { force: true });
      return;
    }
  }
  throw new Error(`An earlier Postgres in ${dataDirectory} does not end, not even by SIGKILL.`);
}

/**
 * The largest postmaster.pid that is read. The file has eight short lines. One of them is the path of the data
 * directory, which has at most 4,096 bytes on Linux.
 */
const POSTMASTER_FILE_MAX_BYTES = 8192;

/** Reads postmaster.pid. Returns `undefined` if there is no such file, or if its first line is not a pid. */
export function readPostmasterFile(dataDirectory: string): { pid: number; isReady: boolean } | undefined {
  // Postgres runs only as the owner of its directory, and Postgres wrote the file. So the file must have the same
  // owner as the directory.
  const owner = lstatSync(dataDirectory).uid;
  const text = readPrivateFile(pidFile(dataDirectory), POSTMASTER_FILE_MAX_BYTES, owner);
  // Line 8 is the status that pg_ctl uses: "starting", "ready" or "stopping". It is never translated.
  const [pid = '', , , , , , , status = ''] = text?.split('\n') ?? [];
  return /^[1-9][0-9]{0,9}$/.test(pid) ? { pid: Number(pid), isReady: status.trim() === 'ready' } : undefined;
}

function pidFile(dataDirectory: string): string {
  return join(dataDirectory, 'postmaster.pid');
}

/**
 * Finds processes by their current directory, because all processes of a Postgres server have the data
 * directory as their current directory. If another program gets the pid of a dead postmaster, it is not found,
 * because its current directory is another one. The check also finds backends whose postmaster is dead, and works
 * after the directory was moved. A zombie has no current directory, so a zombie does not count as running.
 */
function processesIn(dataDirectory: string): Promise<number[]> {
  return process.platform === 'linux' ? processesByProc(dataDirectory) : processesByLsof(dataDirectory);
}

export async function processesByProc(dataDirectory: string): Promise<number[]> {
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
 * For macOS, which has no /proc. lsof is a part of macOS. This function compares the device and inode of the
 * directories instead of their paths, because lsof escapes letters in paths that are not ASCII.
 */
export async function processesByLsof(dataDirectory: string): Promise<number[]> {
  const { dev, ino } = await stat(dataDirectory);
  // For each process: a line with its pid, one with the kind of the file, its device and its inode.
  const processes = (await lsof()).matchAll(/^p(\d+)\nfcwd\nD(0x[0-9a-f]+)\ni(\d+)$/gm);
  return [...processes]
    .filter(([, , device, inode]) => Number(device) === dev && Number(inode) === ino)
    .map(([, pid]) => Number(pid));
}

async function lsof(): Promise<string> {
  const args = ['-nPw', '-a', '-c', 'postgres', '-d', 'cwd', '-FpfDi'];
  try {
    return (await promisify(execFile)('lsof', args, { env: { PATH: '/usr/sbin:/usr/bin' } })).stdout;
  } catch (error) {
    const { code, stdout } = error as { code: unknown; stdout: string };
    if (code === 1) return stdout; // lsof found no process, or none for a part of the conditions
    throw error;
  }
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
