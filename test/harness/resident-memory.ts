import { readFile } from 'node:fs/promises';

const PAGE_BYTES = 4_096;

/** The present resident memory of a process, in MB. Linux only. */
export async function residentMb(pid: number): Promise<number> {
  const [, resident] = (await readFile(`/proc/${pid}/statm`, 'utf8')).split(' ');
  return (Number(resident) * PAGE_BYTES) / 1e6;
}

/** The peak resident memory of a process, in MB. Linux only. */
export async function peakResidentMb(pid: number): Promise<number> {
  const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8')) ?? [];
  return (Number(kilobytes) * 1_024) / 1e6;
}
