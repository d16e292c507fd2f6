import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** What `ps` knows about a process, for systems without /proc. */
async function ps(pid: number, field: 'rss' | 'time'): Promise<string> {
  const env = { PATH: process.env.PATH, LC_ALL: 'C' };
  const { stdout } = await promisify(execFile)('ps', ['-o', `${field}=`, '-p', String(pid)], { env });
  return stdout.trim();
}

/** The present resident memory of a process, in MB. */
export async function residentMbByPs(pid: number): Promise<number> {
  return (Number(await ps(pid, 'rss')) * 1_024) / 1e6;
}

/** The CPU time that a process has used so far. macOS prints hundredths of a second, Linux whole seconds. */
export async function cpuSecondsByPs(pid: number): Promise<number> {
  return secondsOf(await ps(pid, 'time'));
}

/** @param time such as `75:02.50` on macOS, where minutes are not limited to 59, and `01:15:02` on Linux */
export function secondsOf(time: string): number {
  return time.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);
}
