import type { Progress } from '../upload/progress.ts';
import type { ManyProgress } from './options.ts';

/** The least time between two reports: ten reports a second are enough for a person. */
const REPORT_INTERVAL_MS = 100;

/** Adds up the progress of all files of one call of `uploadMany`. */
export function createManyProgressMeter(onProgress: ((progress: ManyProgress) => void) | undefined) {
  const now: ManyProgress = {
    filesTotal: 0,
    filesDone: 0,
    filesFailed: 0,
    bytesTotal: 0,
    bytesHashed: 0,
    bytesSent: 0,
  };
  let bytesTotal = 0;
  let reportedMs = Number.NEGATIVE_INFINITY;
  /** A file can be smaller when it is opened than when it was found. The reported total then waits for further files. */
  const addToTotal = (bytes: number): void => {
    bytesTotal += bytes;
    now.bytesTotal = Math.max(now.bytesTotal, bytesTotal);
  };
  const report = (): void => {
    reportedMs = performance.now();
    onProgress?.({ ...now });
  };
  const changed = (): void => {
    if (performance.now() - reportedMs >= REPORT_INTERVAL_MS) report();
  };
  return {
    now: now as Readonly<ManyProgress>,
    /** The bytes of all files, each with its size when it was opened. The `bytesTotal` of `now` never falls. */
    get bytesTotal() {
      return bytesTotal;
    },
    report,
    found(sizeBytes: number): void {
      now.filesTotal += 1;
      addToTotal(sizeBytes);
      changed();
    },
    ended(isDone: boolean): void {
      if (isDone) now.filesDone += 1;
      else now.filesFailed += 1;
      changed();
    },
    /** Returns the function that takes the progress of one file, whose size was `sizeBytes` when it was found. */
    ofFile(sizeBytes: number) {
      let before = { bytesTotal: sizeBytes, bytesHashed: 0, bytesSent: 0 };
      return (progress: Progress): void => {
        addToTotal(progress.bytesTotal - before.bytesTotal);
        now.bytesHashed += progress.bytesHashed - before.bytesHashed;
        now.bytesSent += progress.bytesSent - before.bytesSent;
        before = progress;
        changed();
      };
    },
  };
}
