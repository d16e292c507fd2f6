import { execFile } from 'node:child_process';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { promisify } from 'node:util';

/** A process that runs now. A zombie does not count. */
interface Running {
  readonly pid: number;
  readonly parent: number;
  /**
   * The current directory of the process, or its command line. Either contains the directory that it works
   * in.
   */
  readonly workplace: string;
}

/**
 * The process, its descendants, and the processes that work in the directory. Both searches are needed,
 * because Postgres has its own session and survives its parent.
 */
export async function processesOf(pid: number, directory?: string): Promise<number[]> {
  const running = await allRunning();
  const found = new Set([pid]);
  for (let before = 0; before !== found.size; ) {
    before = found.size;
    for (const one of running) if (found.has(one.parent)) found.add(one.pid);
  }
  const alive = running.filter(
    (one) => found.has(one.pid) || (directory !== undefined && one.workplace.includes(directory)),
  );
  return alive.map((one) => one.pid);
}

export async function stillRunning(pids: Iterable<number>): Promise<number[]> {
  const running = new Set((await allRunning()).map((one) => one.pid));
  return [...pids].filter((pid) => running.has(pid));
}

function allRunning(): Promise<Running[]> {
  return process.platform === 'linux' ? byProc() : byPs();
}

async function byProc(): Promise<Running[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      try {
        // The line is "pid (name) state parent …". A name can contain any character, even a parenthesis.
        const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
        const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        if (state === 'Z') return undefined;
        const workplace = await readlink(`/proc/${pid}/cwd`).catch(() => '');
        return { pid: Number(pid), parent: Number(parent), workplace };
      } catch {
        return undefined; // the process has ended
      }
    }),
  );
  return found.filter((one) => one !== undefined);
}

async function byPs(): Promise<Running[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-ww', '-o', 'pid=,ppid=,stat=,command=']);
  return [...stdout.matchAll(/^\s*(\d+)\s+(\d+)\s+([^Z\s]\S*)\s+(.*)$/gm)].map(
    ([, pid, parent, , command]) => ({
      pid: Number(pid),
      parent: Number(parent),
      workplace: command ?? '',
    }),
  );
}
