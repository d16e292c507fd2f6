import type { Contestant } from './contestants.ts';
import { findRclone, findS5cmd, sdk, uploadCommand } from './contestants.ts';

export interface Case {
  name: string;
  files: number;
  bytesPerFile: number;
  network: 'near' | 'far';
  /** Uploads once before the measurement, so that nothing is new. */
  isSecondRun: boolean;
  contestants: Contestant[];
}

const MiB = 1024 ** 2;

/** @param cacheDirectory for the caches of MD5s */
export async function listCases(cacheDirectory: string): Promise<Case[]> {
  const ours = uploadCommand(cacheDirectory);
  const rclone = await findRclone();
  const rclone32 = await findRclone('--transfers', '32', '--checkers', '32');
  const s5cmd = await findS5cmd();
  const installed = (...contestants: (Contestant | undefined)[]) =>
    contestants.filter((contestant) => contestant !== undefined);
  const small = { files: 1_000, bytesPerFile: 20_000, network: 'near', isSecondRun: false } as const;
  return [
    { ...small, name: '1,000 × 20 kB', contestants: installed(ours, rclone, rclone32, s5cmd) },
    { ...small, name: 'the same, second run', isSecondRun: true, contestants: installed(ours, rclone) },
    {
      ...small,
      name: '1,000 × 20 kB, round trip 20 ms',
      network: 'far',
      contestants: installed(ours, rclone, rclone32, s5cmd),
    },
    {
      ...small,
      name: '100 × 5 MiB',
      files: 100,
      bytesPerFile: 5 * MiB,
      contestants: installed(ours, rclone, s5cmd),
    },
    {
      ...small,
      name: '2 GiB',
      files: 1,
      bytesPerFile: 2_048 * MiB,
      contestants: installed(ours, sdk, rclone, s5cmd),
    },
  ];
}
