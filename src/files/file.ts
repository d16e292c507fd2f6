import type { Fingerprint } from './rules/fingerprint.ts';

interface FileFacts {
  userId: string;
  s3Key: string;
  filename: string;
  mimeType: string;
  fingerprint: Fingerprint;
  createTime: Date;
}

/** An upload was asked for; S3 was not seen to hold the bytes. */
export interface PendingFile extends FileFacts {
  state: 'pending';
  /** As announced; the caller may not have said. */
  size: number | undefined;
  /** It was READY once, and then its object was gone. No caller is told to wait for it. */
  lost: boolean;
}

/** S3 was seen to hold the bytes; size, type and time are what S3 said. */
export interface ReadyFile extends FileFacts {
  state: 'ready';
  size: number;
  etag: string;
  lastModified: Date;
  /** The last look, by the store's clock. */
  verifiedAt: Date;
  /** Whether it is younger than the trust window. */
  isFresh: boolean;
}

/** A file that its user can see. A deleted one is no file: only the sweeper meets its tombstone. */
export type UserFile = PendingFile | ReadyFile;

/** What S3 says of an object. */
export interface StoredObject {
  size: number;
  /** Without the quotes. */
  etag: string;
  /** Where the ETag tells it: not under SSE-KMS or SSE-C. */
  fingerprint: Fingerprint | undefined;
  mimeType: string;
  /** As it was sent with the PUT, where any client can add it; empty where there is none. */
  contentEncoding: string;
  lastModified: Date;
}
