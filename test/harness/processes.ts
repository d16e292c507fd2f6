import { execFile } from 'node:child_process';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { promisify } from 'node:util';

/** A process that runs now. One that has ended and is only not yet reaped does not count. */
interface Running {
  readonly pid: number;
  readonly parent: number;
  /** Where it is, or what it was started with: names the directory that it works in. */
  readonly place: string;
}

/**
 * A process and all that came from it, and whatever works in a directory: Postgres has a session of its own and
 * survives its parent, so neither alone would find everything.
 */
export async function processesOf(pid: number, directory?: string): Promise<number[]> {
  const running = await allRunning();
  const found = new Set([pid]);
  for (let before = 0; before !== found.size; ) {
    before = found.size;
    for (const one of running) if (found.has(one.parent)) found.add(one.pid);
  }
  const alive = running.filter(
    (one) => found.has(one.pid) || (directory !== undefined && one.place.includes(directory)),
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
  const looked = await Promise.all(
    pids.map(async (pid) => {
      try {
        // "pid (name) state parent …", and a name may hold anything.
        const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
        const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        if (state === 'Z') return undefined;
        const place = await readlink(`/proc/${pid}/cwd`).catch(() => '');
        return { pid: Number(pid), parent: Number(parent), place };
      } catch {
        return undefined; // gone meanwhile
      }
    }),
  );
  return looked.filter((one) => one !== undefined);
}

async function byPs(): Promise<Running[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-ww', '-o', 'pid=,ppid=,stat=,command=']);
  return [...stdout.matchAll(/^\s*(\d+)\s+(\d+)\s+([^Z\s]\S*)\s+(.*)$/gm)].map(
    ([, pid, parent, , command]) => ({
      pid: Number(pid),
      parent: Number(parent),
      place: command ?? '',
    }),
  );
}
