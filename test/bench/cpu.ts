import { readFile } from 'node:fs/promises';
import { cpuSecondsByPs } from '../harness/ps.ts';

/** The unit of /proc/PID/stat: USER_HZ, which is 100 on every Linux. */
const CPU_TICK_US = 10_000;

/** The CPU time that a process has used so far, in user and system mode. */
export async function cpuMicroseconds(pid: number): Promise<number> {
  if (process.platform !== 'linux') return (await cpuSecondsByPs(pid)) * 1_000_000;
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The second field is a name that may contain blanks. Fields 14 and 15 are user and system time.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * CPU_TICK_US;
}
