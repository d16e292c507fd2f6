import { expect, it } from 'vitest';
import { residentMbByPs, secondsOf } from './ps.ts';
import { residentMb } from './resident-memory.ts';

it.runIf(process.platform === 'linux')('ps tells the same resident memory as /proc', async () => {
  const [mb, mbByPs] = await Promise.all([residentMb(process.ppid), residentMbByPs(process.ppid)]);
  expect(mbByPs / mb).toBeCloseTo(1, 1);
});

it.each([
  ['0:01.23', 1.23],
  ['75:02.50', 4_502.5],
  ['01:15:02', 4_502],
])('ps prints the CPU time %s, which is %d s', (time, seconds) => {
  expect(secondsOf(time)).toBeCloseTo(seconds);
});
