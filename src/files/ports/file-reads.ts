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
   * The last file that the call examined. Set only if the call stopped because it had examined the maximum
   * number of files. More matches may follow after this file.
   */
  examinedTo: PagePosition | undefined;
}

/** Part of `FileStore`: reads files without changing them. */
export interface FileReads {
  /** Returns the file; `undefined` if no file has the key, or the file is deleted or belongs to another user. */
  find(call: Call, s3Key: S3Key): Promise<UserFile | undefined>;

  /** Returns the files with these keys that `find` would return, in any order. */
  findMany(call: Call, s3Keys: readonly S3Key[]): Promise<UserFile[]>;

  /**
   * Returns the READY files that follow `after` in the list, without the file at `after` itself. The list is
   * ordered newest first by (lastModified, s3Key). Without `after`, the page starts with the newest file.
   *
   * The prefix is compared byte by byte. It is a filter: the rarer the matching names are, the more of the
   * user's files must be examined for one page. With a prefix, a call therefore examines at most 10,000
   * files. If it reaches this number, it returns the matches found so far, possibly none, and `examinedTo`.
   * The next call continues after `examinedTo`.
   *
   * The first page also returns the newest matching PENDING files, at most `pendingLimit`. One query to
   * Postgres returns both kinds of files.
   */
  list(call: Call, query: ListQuery, pendingLimit: number): Promise<Listed>;

  /**
   * Tells whether creates announced different MIME types for the file while it was PENDING. Then the object may have
   * any of these types, because each create gave out a URL for its own type. False for an unknown file.
   */
  hasSeveralTypes(call: Call, s3Key: S3Key): Promise<boolean>;
}
