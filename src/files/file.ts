/**
 * `src/files` is the domain: what a file is (this file), what each RPC does with files (`operations/`), which
 * values are allowed (`rules/`), and how unfinished work is finished later (`maintenance/`). `ports/` has the
 * contracts that Postgres and S3 must keep. SQL, AWS SDK calls, gRPC messages and configuration do not belong
 * here: this folder imports only itself. Start with this file, then `ports/file-store.ts`.
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

/** A file whose upload was requested. S3 has not been seen to hold its bytes. */
export interface PendingFile extends FileFacts {
  state: 'pending';
  /** The announced size in bytes; `undefined` if the caller did not announce one. */
  size: number | undefined;
  /**
   * The file was READY before, and then its object was missing. Waiting will not bring the bytes back, so
   * calls report the file as not found.
   */
  lost: boolean;
}

/** A file whose bytes S3 was seen to hold. Size, type and time are the values that S3 reported. */
export interface ReadyFile extends FileFacts {
  state: 'ready';
  size: number;
  etag: string;
  lastModified: Date;
  /** When S3 was last seen to hold the bytes, by the store's clock. */
  verifiedAt: Date;
  /** Whether the last verification is younger than VERIFICATION_TTL_SECONDS. */
  isFresh: boolean;
}

/**
 * A file that its user can see. A deleted file is not a `UserFile`: only the sweeper handles its tombstone.
 */
export type UserFile = PendingFile | ReadyFile;

/** The metadata that S3 reports about an object. */
export interface StoredObject {
  size: number;
  /** The ETag without its quotes. */
  etag: string;
  /** The content, if the ETag identifies it. Under SSE-KMS and SSE-C the ETag does not. */
  fingerprint: Fingerprint | undefined;
  mimeType: string;
  /** The Content-Encoding of the PUT, which any client can add; empty if the PUT had none. */
  contentEncoding: string;
  lastModified: Date;
}
