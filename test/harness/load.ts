import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/** What one process offers to the service over gRPC. */
export interface Load {
  /** `127.0.0.1:<port>` */
  target: string;
  call: 'ListFiles' | 'CreatePresignedUpload' | 'GetFile' | 'DeleteFile' | 'CreatePresignedDownload';
  /** Users take turns: `<name>-0` to `<name>-<count - 1>`. */
  users: { name: string; count: number };
  pace:
    | { kind: 'closed'; callsAtOnce: number }
    /** Whatever the answers: as the callers of a service do, who know nothing of each other. */
    | { kind: 'open'; callsPerSecond: number };
  /** Each call's deadline. */
  timeoutMs: number;
  /** It ends after this, or after that many calls, whichever is first. */
  seconds: number;
  callsMax?: number;
  /** The one file that every call is about. Unset: call n creates, or deletes, the n-th of this load's own. */
  file?: { s3Key: string; filename: string; md5: string };
}

/** What became of it, by the clock of whoever called. */
export interface LoadOutcome {
  /** How many calls ended with each gRPC code. Without an answer by its deadline: DEADLINE_EXCEEDED. */
  codes: Record<string, number>;
  calls: number;
  seconds: number;
  okMs: Percentiles;
  refusedMs: Percentiles;
}

export interface Percentiles {
  p50: number;
  p99: number;
  max: number;
}

/** Offers it from a process of its own, so that what is measured is not the test. */
export async function offer(load: Load): Promise<LoadOutcome> {
  const child = fork(join(import.meta.dirname, 'load-process.ts'), { execArgv: [] });
  try {
    child.send(load);
    const [outcome] = await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(([code]) => Promise.reject(new Error(`the load ended with ${code}`))),
    ]);
    return outcome as LoadOutcome;
  } finally {
    child.kill();
  }
}
