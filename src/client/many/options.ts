import type { UploadResult } from '../upload/upload-file.ts';

/** One file for `uploadMany`. A caller may add fields of its own: the outcome of the file contains the same object. */
export interface UploadItem<Source> {
  source: Source;
  /** Default: the last name of the path, or the name of a File. Required for every other source. */
  filename?: string;
  /** `type/subtype`. Default: the type of a Blob, else `application/octet-stream`. */
  mimeType?: string;
}

export type UploadOutcome<Item> = { item: Item; result: UploadResult } | { item: Item; error: unknown };

export interface UploadManyOptions<Item> {
  /** How many PUTs are sent at once, over as many connections. Default 32. */
  concurrency?: number;
  /** How long a failing step of one file is retried, in milliseconds from its first failure. Default two minutes. */
  retryForMs?: number;
  /** A file of this size or more is sent as a multipart upload. Default 128 MiB, as for `uploadFile`. */
  multipartFromBytes?: number;
  /**
   * Ends `uploadMany`, which then throws the reason of the signal. Files that are not done yet get no outcome. Another
   * call of `uploadMany` sends only the missing bytes.
   */
  signal?: AbortSignal;
  /** Called once for each item, as soon as its outcome is known. */
  onOutcome?: (outcome: UploadOutcome<Item>) => void;
  /** Called at most ten times a second, and at the end. No figure ever falls. */
  onProgress?: (progress: ManyProgress) => void;
  /** Called before each retry. If one call for many files is retried, `onRetry` is called for each of these files. */
  onRetry?: (retry: ItemRetry<Item>) => void;
}

export interface ManyProgress {
  /**
   * The number of items taken from the iterator so far. `uploadMany` takes items up to 10,000 ahead of the uploads, so
   * this number can still grow.
   */
  filesTotal: number;
  /** Files that are READY: stored, and verified by the service. */
  filesDone: number;
  filesFailed: number;
  /**
   * The bytes of all items that `filesTotal` counts. If a file became smaller before it was opened, this figure does not
   * fall, and can be too large until more items are taken.
   */
  bytesTotal: number;
  bytesHashed: number;
  bytesSent: number;
}

export interface ItemRetry<Item> {
  item: Item;
  error: unknown;
  /** The number of the attempt that failed. The first attempt has the number 1. */
  attempt: number;
  delayMs: number;
}

export interface UploadManySummary {
  uploaded: number;
  /**
   * Files whose content was stored already: before this call, or by another of its items. Usually they sent nothing. The
   * exception is a file whose MD5 in the cache was wrong: S3 refused its bytes, and the right MD5 was stored already.
   */
  existing: number;
  failed: number;
  /** The bytes of all items. Each file counts with its size when it was opened. */
  bytesTotal: number;
  bytesSent: number;
  seconds: number;
}
