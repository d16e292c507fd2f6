import type { UploadResult } from '../../client/node.ts';

/** The figures of a run. The progress bar shows them during the run, and the summary shows them at the end. */
export interface Tally {
  uploaded: number;
  existing: number;
  /** Entries that were left out count as failed, too. */
  failed: number;
  /** The bytes of all files of this run that the service has stored. */
  bytesStored: number;
  /** The bytes that this run sent of these files. */
  bytesSent: number;
}

/**
 * Why a run ended: all entries were tried, the user interrupted the run, or an error occurred that would occur for each
 * other file, too.
 */
export type RunEnd = 'complete' | 'interrupted' | 'stopped';

export function emptyTally(): Tally {
  return { uploaded: 0, existing: 0, failed: 0, bytesStored: 0, bytesSent: 0 };
}

export function countStored(tally: Tally, { existing, file, bytesSent }: UploadResult): void {
  tally[existing ? 'existing' : 'uploaded'] += 1;
  tally.bytesStored += Number(file.size);
  tally.bytesSent += bytesSent;
}

export function filesDone({ uploaded, existing, failed }: Tally): number {
  return uploaded + existing + failed;
}
