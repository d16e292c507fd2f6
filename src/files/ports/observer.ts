import type { Call } from '../call.ts';
import type { Difference, StoredObject } from '../file.ts';
import type { S3Key } from '../rules/s3-key.ts';

/** Receives events that operations do not report to their callers, for logs and metrics. */
export interface Observer {
  /**
   * The object in S3 is not the file that the client announced: another writer uses the bucket, a client added a
   * Content-Encoding, or the server changed the MIME type.
   */
  contentMismatch(call: Call, s3Key: S3Key, seen: StoredObject, difference: Difference): void;
  /** S3 holds other bytes than announced for these parts of an upload, because another writer uses the bucket. */
  partsMismatch(call: Call, s3Key: S3Key, partNumbers: readonly number[]): void;
  /** S3 no longer holds the object of a READY file. The row of the file is marked as `lost`. */
  fileLost(call: Call, s3Key: S3Key): void;
  /** A step failed because of S3 or of the database, but the call could go on without the step. */
  stepFailed(step: string, error: unknown): void;
}

/**
 * Wraps one step against Postgres or S3. Metrics and traces record the step under its name. The result or
 * the error of the step is passed on unchanged.
 */
export type ObserveStep = <Result>(step: string, run: () => Promise<Result>) => Promise<Result>;
