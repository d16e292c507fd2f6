/**
 * `src/files` is the domain: what a file is (this file), what each RPC does with files (`operations/`), which values are
 * allowed (`rules/`), and how unfinished work is finished later (`maintenance/`). `queue/` has what the background tasks
 * share, and `ports/` the contracts that Postgres and S3 must keep. SQL, AWS SDK calls, gRPC messages and configuration
 * do not belong here: this folder imports only itself. Start with this file, then `ports/file-store.ts`.
 */
import type { Fingerprint } from './rules/fingerprint.ts';
import type { S3Key } from './rules/s3-key.ts';

/** One file of one user. */
export interface FileRef {
  userId: string;
  s3Key: S3Key;
}

interface FileFacts extends FileRef {
  filename: string;
  mimeType: string;
  fingerprint: Fingerprint;
  createTime: Date;
}

/** A file whose upload was requested. The service has not verified yet that S3 holds its bytes. */
export interface PendingFile extends FileFacts {
  state: 'pending';
  /** The announced size in bytes; `undefined` if the caller did not announce one. */
  size: number | undefined;
  /**
   * Whether the file was READY before and S3 then no longer had its object. Waiting does not bring the bytes back,
   * so calls report the file as not found.
   */
  lost: boolean;
}

/** A file whose bytes the service has verified in S3. S3 reported the size, the type and `lastModified`. */
export interface ReadyFile extends FileFacts {
  state: 'ready';
  size: number;
  etag: string;
  lastModified: Date;
  /** The time of the last successful verification of the object in S3, by the clock of Postgres. */
  verifiedAt: Date;
  /** Whether the last verification is younger than the setting VERIFICATION_TTL_SECONDS. */
  isFresh: boolean;
}

/**
 * A file that has not been deleted. A pending file that is `lost` is one, too, although calls report it as not found.
 * A deleted file is not a `UserFile`. Its row is a tombstone, which keeps the key until no URL can write to that key any
 * more. Then the sweeper (a background task, `maintenance/sweeper.ts`) removes it.
 */
export type UserFile = PendingFile | ReadyFile;

/** The metadata that S3 reports about an object. */
export interface StoredObject {
  size: number;
  /** The ETag without its quotes. */
  etag: string;
  /** Whether S3 says that it encrypts the object with SSE-KMS or SSE-C. Its ETag then tells nothing of the content. */
  isEtagOpaque: boolean;
  /** The fingerprint of the content, if the ETag identifies the content. */
  fingerprint: Fingerprint | undefined;
  mimeType: string;
  /** The Content-Encoding of the PUT, which any client can add; empty if the PUT had none. */
  contentEncoding: string;
  lastModified: Date;
}

/** The property in which an object differs from the announced file. */
export type Difference = 'bytes' | 'Content-Encoding' | 'Content-Type';
