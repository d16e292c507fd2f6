import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/** The load that one process offers to the service over gRPC. */
export interface Load {
  /** `127.0.0.1:<port>` */
  target: string;
  call: 'ListFiles' | 'CreatePresignedUpload' | 'GetFile' | 'DeleteFile' | 'CreatePresignedDownload';
  /** The calls rotate over the users `<name>-0` to `<name>-<count - 1>`. */
  users: { name: string; count: number };
  pace:
    | { kind: 'closed'; callsAtOnce: number }
    /** Independent of the answers, because the callers of a service do not know of each other. */
    | { kind: 'open'; callsPerSecond: number };
  /** The deadline of each call. */
  timeoutMs: number;
  /** The load ends after this time or after `callsMax` calls, whichever is first. */
  seconds: number;
  callsMax?: number;
  /** Every call concerns this file. If unset, call n creates or deletes file n of this load. */
  file?: { s3Key: string; filename: string; md5: string };
}

/** The outcome of a load, measured by the clock of the caller. */
export interface LoadOutcome {
  /**
   * How many calls ended with each gRPC code. A call without an answer at its deadline is DEADLINE_EXCEEDED.
   */
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

/** Offers the load from a separate process, so that the test's own work does not change the measurement. */
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
