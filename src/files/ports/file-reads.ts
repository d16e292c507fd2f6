import type { Call } from '../call.ts';
import type { PendingFile, ReadyFile, UserFile } from '../file.ts';
import type { PagePosition } from '../rules/page-token.ts';
import type { S3Key } from '../rules/s3-key.ts';

export interface ListQuery {
  /** An empty prefix matches all files. */
  filenamePrefix: string;
  after: PagePosition | undefined;
  limit: number;
}

export interface Listed {
  ready: ReadyFile[];
  pending: PendingFile[];
  /**
   * Set if the call stopped because it had examined as many files as it may: the last of them. More matches
   * may follow.
   */
  examinedTo: PagePosition | undefined;
}

/** Part of `FileStore`: reads files without changing them. */
export interface FileReads {
  /** Returns the file; `undefined` if it is deleted or belongs to another user. */
  find(call: Call, s3Key: S3Key): Promise<UserFile | undefined>;

  /**
   * Returns READY files strictly behind `after`, newest first by (lastModified, s3Key).
   *
   * The prefix is compared byte by byte and works as a filter: the rarer the matching names are, the more of
   * the user's files are examined per page. With a prefix, a call therefore examines at most 10,000 files. It
   * then returns the matches found so far, possibly none, and `examinedTo`, behind which the next call
   * continues.
   *
   * The first page also returns the newest matching PENDING files, at most `pendingLimit`, in the same round
   * trip.
   */
  list(call: Call, query: ListQuery, pendingLimit: number): Promise<Listed>;
}
