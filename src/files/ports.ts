/**
 * `src/files` is the domain: what a file is, what each RPC does with files, and how unfinished work is
 * finished later. Operations, pure rules and maintenance belong here, and so do the ports below: the
 * contracts that Postgres (`FileStore`, `RowInventory`) and S3 (`ObjectStore`, `MultipartStore`, `Presigner`,
 * `BucketInventory`) must keep. SQL, AWS SDK calls, gRPC messages and configuration do not belong here: this
 * folder imports only itself. Start with this file, then `file.ts`.
 */
import type { Call, Work } from './call.ts';
import type { PendingFile, ReadyFile, StoredObject, UserFile } from './file.ts';
import type { Fingerprint } from './rules/fingerprint.ts';
import type { Md5 } from './rules/md5.ts';
import type { PagePosition } from './rules/page-token.ts';
import type { AnnouncedParts, StoredPart } from './rules/parts.ts';
import type { S3Key } from './rules/s3-key.ts';

/** One file of one user. */
export interface FileRef {
  userId: string;
  s3Key: S3Key;
}

/** An upload that a user asked for, before any byte was sent. */
export interface UploadIntent {
  s3Key: S3Key;
  filename: string;
  mimeType: string;
  fingerprint: Fingerprint;
  /** Bytes; `undefined` if the caller did not announce a size. */
  size: number | undefined;
  /**
   * Multipart uploads only: the part size in bytes, and the MD5s of all parts, 16 bytes each, in part order.
   */
  parts?: { partSize: number; md5s: Buffer } | undefined;
}

export type Reservation =
  | { file: UserFile; created: boolean; refused?: never }
  | { refused: 'key taken' | 'raced' }
  | ({ refused: 'too many pending' } & PendingCap);

/**
 * The limit of a user's pending uploads. Uploads with a single PUT and multipart uploads have separate
 * limits.
 */
export interface PendingCap {
  kind: 'single' | 'multipart';
  limit: number;
}

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

/** A deleted file whose key and bytes are not released yet. */
export interface Tombstone extends FileRef {
  /** The file was, or was to be, uploaded by multipart, so S3 may hold parts of it. */
  isMultipart: boolean;
}

/** A row whose next sweep is due, as the sweeper leases it. */
export type DueFile =
  | { state: 'pending'; file: PendingFile; purgeable: boolean }
  /**
   * A multipart upload that became READY a minute ago. A call that read the row before may have begun another
   * upload in S3 under the same key.
   */
  | { state: 'ready'; file: ReadyFile }
  | { state: 'deleted'; ref: Tombstone; purgeable: boolean };

/** A multipart upload that is pending. */
export interface PendingUpload {
  file: PendingFile;
  parts: AnnouncedParts;
  /** The id that S3 gave the upload; `undefined` until that id is committed. */
  uploadId: string | undefined;
}

/**
 * The store of the rows. Each method is one atomic transition: one SQL statement with its guard. Only the
 * store's clock decides about rows.
 *
 * - Every method sees and changes files of `call.userId` only. The sweeper's methods with a `Work` see the
 *   rows of all users.
 * - A method that finds its row in another state changes nothing and returns `undefined` (or `false`): a
 *   concurrent call was first, so the caller reads the row again.
 * - Every method is safe to repeat.
 * - No method waits for S3, and no method holds a lock after it has returned.
 * - @throws FileError DATABASE_UNAVAILABLE if the database does not answer by the deadline. A write may or
 *   may not have happened then; repeating the operation leads to the right state in both cases.
 * - @throws DeadlineExceededError if no time was left to send the statement: nothing has happened.
 *
 * A row is *purgeable* when its last URL expired longer ago than the longest upload takes. From then on
 * nothing that the service handed out can write to its key. For a tombstone the delete counts like a URL that
 * expired at that moment, so that its key is not given to other content while a delayed step of another
 * instance can still touch it.
 */
export interface FileStore {
  /**
   * Returns the live file of this user and content. At most one exists, even if many calls ask at once. If
   * none exists, `reserve` creates a PENDING file from the intent. For a PENDING file, new or old, the
   * lifetime of its URLs starts again, so that the caller may sign a URL (or the caller's parts may be
   * uploaded). A READY file is not written.
   *
   * `created` says that this very call created the file. No URL for the file can exist then, so the caller
   * need not ask S3.
   *
   * A refusal changes nothing:
   * - `key taken`: other content or a tombstone has the key; the caller retries with another key.
   * - `raced`: a concurrent call interfered; the caller retries.
   * - `too many pending`: the user's other uploads of this kind (single PUT or multipart) reach their limit.
   *   Pending uploads count, and so do uploads that were cancelled while pending, until their URLs have
   *   expired.
   */
  reserve(call: Call, intent: UploadIntent): Promise<Reservation>;

  /** Gives a file that is still PENDING the intent's name, type and size. The file is no longer `lost`. */
  updateIntent(call: Call, intent: UploadIntent): Promise<void>;

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

  /**
   * Records that S3 holds the right bytes. A PENDING file becomes READY with the values that S3 reported. A
   * READY file becomes fresh again and keeps its `lastModified`, by which pages are ordered. A multipart
   * upload comes due once more, a minute after it became READY. `undefined`: the file was deleted in the
   * meantime.
   */
  markReady(call: Call, s3Key: S3Key, seen: StoredObject): Promise<ReadyFile | undefined>;

  /**
   * Records that S3 no longer holds the bytes. A READY file becomes PENDING and `lost`, under the same key,
   * until it is uploaded again or swept. Changes nothing if a verification that is newer than `verifiedAt`
   * found the object.
   */
  markLost(call: Call, s3Key: S3Key, verifiedAt: Date): Promise<void>;

  /**
   * Deletes the file for its user, whatever happens next. Its tombstone keeps the key until the tombstone is
   * purgeable. A cancelled upload counts as pending until its URL has expired; a cancelled multipart upload,
   * until the URLs of its parts have expired, and not for the week for which it could have been resumed.
   * `undefined`: no such file exists.
   */
  markDeleted(call: Call, s3Key: S3Key): Promise<Tombstone | undefined>;

  /**
   * Turns a purgeable PENDING file into a deleted one. `undefined`: the file is not PENDING, or is no longer
   * purgeable. The sweeper may remove the file's bytes from S3 only after this call: a user who asks for the
   * upload again then gets another key.
   */
  expireUpload(call: Call, s3Key: S3Key): Promise<Tombstone | undefined>;

  /** Records that S3 has no multipart upload under the key of a READY file. The file is no longer due. */
  clearSweep(call: Call, s3Key: S3Key): Promise<void>;

  /**
   * Returns a pending multipart upload; `undefined` if the file is not pending, not multipart, or does not
   * exist.
   */
  findUpload(call: Call, s3Key: S3Key): Promise<PendingUpload | undefined>;

  /**
   * Like `findUpload`, and starts the upload's lifetime again. Also `undefined` if the lifetime was over and
   * another upload has taken the pending slot. Only a new `reserve` keeps the upload then, if a slot is free.
   */
  renewUpload(call: Call, s3Key: S3Key): Promise<PendingUpload | undefined>;

  /**
   * Commits the id that S3 gave a pending upload. Returns `true` also if a concurrent call has committed the
   * same id. `false`: the row has an id that is neither `uploadId` nor `before`, or the file is not pending.
   */
  setUploadId(call: Call, s3Key: S3Key, uploadId: string, before: string | undefined): Promise<boolean>;

  /**
   * Leases due rows of any user to one sweeper: up to `limit`, at most 100, in no particular order. Rows that
   * a concurrent statement is writing are skipped. No other sweeper gets the leased rows before
   * `leaseSeconds` have passed. If a sweeper dies, nothing is lost: its rows come due again.
   *
   * If more rows are due than fit, users take turns. Most of the batch is shared evenly among users with due
   * rows, oldest rows first, and the next batch continues behind the last of these users. So a user's
   * backlog, however large, costs the other users no more than that user's share. The rest of the batch are
   * the rows that have waited longest of all, so that no row waits for ever, however many users there are.
   */
  leaseDue(work: Work, limit: number, leaseSeconds: number): Promise<DueFile[]>;

  /**
   * Makes a due row come due again later. The pause grows up to a day, and ends at the latest when the row
   * becomes purgeable. A row that is not due does not change.
   */
  reschedule(call: Call, s3Key: S3Key): Promise<void>;

  /**
   * Removes a purgeable PENDING or DELETED row. `false`: the row has another state, or is not (or no longer)
   * purgeable.
   */
  purge(call: Call, s3Key: S3Key): Promise<boolean>;

  /** Seconds by which the oldest due row is late; 0 if no row is due. */
  oldestOverdueSeconds(work: Work): Promise<number>;
}

/**
 * The store of the bytes.
 *
 * @throws FileError STORAGE_UNAVAILABLE if S3 does not answer by the deadline, or answers with anything that
 *   is not about the object
 * @throws DeadlineExceededError if no time was left to send the request: nothing has happened
 */
export interface ObjectStore {
  /** Returns what S3 reports about the object; `undefined` if no object has this key. */
  head(call: Call, s3Key: S3Key): Promise<StoredObject | undefined>;

  /** Removes the object. Removing a missing object succeeds. */
  remove(call: Call, s3Key: S3Key): Promise<void>;
}

/**
 * Multipart uploads in S3, from their start until they are completed or aborted. Throws the errors of
 * `ObjectStore`.
 */
export interface MultipartStore {
  /** @returns the id that S3 gave the upload */
  begin(call: Call, s3Key: S3Key, mimeType: string): Promise<string>;

  /** Ids of all unfinished uploads under exactly this key, whichever client began them. */
  uploadsOf(call: Call, s3Key: S3Key): Promise<string[]>;

  /** The uploaded parts in the order of their numbers; `undefined` if S3 knows no such upload. */
  parts(call: Call, s3Key: S3Key, uploadId: string): Promise<StoredPart[] | undefined>;

  /** Makes the object. After an error the object may or may not exist; the caller must verify it. */
  complete(call: Call, s3Key: S3Key, uploadId: string, parts: readonly StoredPart[]): Promise<void>;

  /** Aborts the upload. Aborting a missing upload succeeds. */
  abort(call: Call, s3Key: S3Key, uploadId: string): Promise<void>;
}

export interface PresignedUpload {
  url: string;
  requiredHeaders: Record<string, string>;
  expireTime: Date;
}

export interface PresignedParts {
  urls: { number: number; url: string; requiredHeaders: Record<string, string> }[];
  /** When the first of the URLs expires. */
  expireTime: Date;
}

export interface PresignedDownload {
  url: string;
  expireTime: Date;
}

/** Signs URLs. This is pure computation, except that the credentials may have to be fetched first. */
export interface Presigner {
  /**
   * Signs a PUT that S3 accepts for exactly these bytes: their MD5 and type are signed, and their size if it
   * is known.
   */
  presignUpload(upload: {
    s3Key: S3Key;
    mimeType: string;
    md5: Md5;
    size: number | undefined;
  }): Promise<PresignedUpload>;

  /** Signs PUTs of parts. S3 accepts each PUT for exactly the bytes of its part. */
  presignParts(upload: {
    s3Key: S3Key;
    uploadId: string;
    parts: readonly { number: number; md5: string; size: number }[];
  }): Promise<PresignedParts>;

  /**
   * Signs a GET that answers as an attachment with this name and type. The response does not contain the
   * other headers that an uploader can store with an object (Content-Encoding, Cache-Control, Expires,
   * Content-Language): the signed parameters override them.
   */
  presignDownload(download: { s3Key: S3Key; filename: string; mimeType: string }): Promise<PresignedDownload>;
}

/** The fields of a row that can be compared with an object. */
export interface ListedRow extends FileRef {
  state: 'ready' | 'pending' | 'deleted';
  size: number;
  /** Empty unless READY. */
  etag: string;
}

/** The whole table, for `reconcile`. */
export interface RowInventory {
  /** Every row of every user as of one moment, in the byte order of the keys. Reads one page at a time. */
  scan(): AsyncIterable<ListedRow>;
  /** Whether a row has this key; a tombstone counts. */
  has(call: Call, s3Key: S3Key): Promise<boolean>;
  /**
   * Whether a row is responsible for the multipart uploads under this key, and has them removed if they are
   * not completed.
   */
  ownsUploads(call: Call, s3Key: S3Key): Promise<boolean>;
}

export interface ListedObject {
  /** Any writer of the bucket may have chosen it. */
  s3Key: string;
  size: number;
  etag: string;
  lastModified: Date;
}

/** A multipart upload that is neither completed nor aborted. */
export interface ListedUpload {
  /** Any writer of the bucket may have chosen it. */
  s3Key: string;
  uploadId: string;
  initiated: Date;
}

/** The whole bucket, for `reconcile`. */
export interface BucketInventory {
  /**
   * Every object in the byte order of the keys. Reads one page at a time. @throws FileError
   * STORAGE_UNAVAILABLE
   */
  list(): AsyncIterable<ListedObject>;
  /** Every unfinished multipart upload, in the same order. */
  uploads(): AsyncIterable<ListedUpload>;
}

/** Receives events that operations do not report to their callers, for logs and metrics. */
export interface Observer {
  /**
   * The object is not the announced content: another writer uses the bucket, or a client added a
   * Content-Encoding.
   */
  contentMismatch(call: Call, s3Key: S3Key, seen: StoredObject): void;
  /** S3 failed in a step that the call could go on without. */
  storageFailed(step: string, error: unknown): void;
}

/**
 * Wraps one step against Postgres or S3, by its name, for metrics and traces. Results and errors of the step
 * pass unchanged.
 */
export type ObserveStep = <Result>(step: string, run: () => Promise<Result>) => Promise<Result>;
