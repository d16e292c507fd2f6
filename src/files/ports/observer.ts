import type { Call } from '../call.ts';
import type { StoredObject } from '../file.ts';
import type { S3Key } from '../rules/s3-key.ts';

/** Receives events that operations do not report to their callers, for logs and metrics. */
export interface Observer {
  /**
   * The object is not the announced content: another writer uses the bucket, or a client added a
   * Content-Encoding.
   */
  contentMismatch(call: Call, s3Key: S3Key, seen: StoredObject): void;
  /** A READY file has no object any more. Its row is `lost` from now on. */
  fileLost(call: Call, s3Key: S3Key): void;
  /** A step failed that the call could go on without, because of S3 or of the database. */
  stepFailed(step: string, error: unknown): void;
}

/**
 * Wraps one step against Postgres or S3, by its name, for metrics and traces. Results and errors of the step
 * pass unchanged.
 */
export type ObserveStep = <Result>(step: string, run: () => Promise<Result>) => Promise<Result>;
