import { readFile } from 'node:fs/promises';
import { residentMbByPs } from './ps.ts';

/** The present resident memory of a process, in MB. */
export async function residentMb(pid: number): Promise<number> {
  return process.platform === 'linux' ? fromStatus(pid, 'VmRSS') : residentMbByPs(pid);
}

/** The peak resident memory of a process, in MB. Only Linux tells it. Elsewhere the present memory has to do. */
export async function peakResidentMb(pid: number): Promise<number> {
  return process.platform === 'linux' ? fromStatus(pid, 'VmHWM') : residentMbByPs(pid);
}

/** Not from /proc/PID/statm, which counts pages: some machines with Arm have pages of 16 kB or 64 kB. */
async function fromStatus(pid: number, name: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const [, kilobytes] = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status) ?? [];
  return (Number(kilobytes) * 1_024) / 1e6;
}
