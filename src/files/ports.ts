import type { Deadline } from './deadline.ts';
import type { PendingFile, ReadyFile, StoredObject, UserFile } from './file.ts';
import type { Fingerprint } from './rules/fingerprint.ts';
import type { Md5 } from './rules/md5.ts';
import type { PagePosition } from './rules/page-token.ts';
import type { AnnouncedParts, StoredPart } from './rules/parts.ts';

/** One file of one user. Every method of the store is scoped by both. */
export interface FileRef {
  userId: string;
  s3Key: string;
}

export interface UploadIntent extends FileRef {
  filename: string;
  mimeType: string;
  fingerprint: Fingerprint;
  size: number | undefined;
  /** Of an upload in parts: how it is cut, and 16 bytes of MD5 for each part in their order. */
  parts?: { partSize: number; md5s: Buffer } | undefined;
}

export type Reservation =
  | { file: UserFile; created: boolean; refused?: never }
  | { refused: 'key taken' | 'raced' }
  | ({ refused: 'too many pending' } & PendingCap);

/** What limits a user's pending uploads: those with a single PUT, and those in parts, each have a limit of their own. */
export interface PendingCap {
  kind: 'single' | 'multipart';
  limit: number;
}

export interface ListQuery {
  userId: string;
  /** Empty: all files. */
  filenamePrefix: string;
  after: PagePosition | undefined;
  limit: number;
}

export interface Listed {
  ready: ReadyFile[];
  pending: PendingFile[];
  /** The last file that was examined, where as many were as may be: more that match may be behind it. */
  examinedTo: PagePosition | undefined;
}

/** A deleted file, as far as anything is left to be done for it. */
export interface Tombstone extends FileRef {
  /** It was uploaded in parts, or was to be, so S3 may hold some of them. */
  isMultipart: boolean;
}

/** A row whose time has come, as the sweeper claims it. */
export type DueFile =
  | { state: 'pending'; file: PendingFile; purgeable: boolean }
  /** Made of parts a little while ago: a call that came too late for that may have begun another upload under its key. */
  | { state: 'ready'; file: ReadyFile }
  | { state: 'deleted'; ref: Tombstone; purgeable: boolean };

/** A pending upload in parts. */
export interface PendingUpload {
  file: PendingFile;
  parts: AnnouncedParts;
  /** What S3 calls it; not known from the first moment on. */
  uploadId: string | undefined;
}

/**
 * Where the intent is kept. Each method is one atomic transition, one SQL
 * statement with its guard; the store's clock is the only clock for rows.
 *
 * - A method that finds its row in another state changes nothing and answers
 *   `undefined` (or `false`): somebody else was first, so read again.
 * - Every method is safe to repeat.
 * - None waits for S3, and none holds a lock when it has returned.
 * - @throws FileError DATABASE_UNAVAILABLE when the database does not answer by the
 *   deadline. A write may then have happened or not; repeating the operation settles it.
 * - @throws DeadlineExceededError when no time was left to ask it: nothing has happened.
 *
 * A row is *purgeable* when its last URL expired longer ago than the longest
 * upload takes: from then on nothing that the service handed out can write to
 * its key. For a tombstone the delete counts like a URL that ended then, so that
 * its key is not given anew while a step of another instance is held up.
 */
export interface FileStore {
  /**
   * The live file of this user and content. There is at most one, however many
   * ask at once. Where there is none, a PENDING one is made of the intent. The
   * life of a PENDING one's URLs starts anew, so that one may be signed (and that
   * of its parts, so that they may be uploaded); a READY one is left as it is,
   * unwritten.
   *
   * `created` says that the file was made by this very call, so that no URL of
   * it can be out and S3 need not be asked.
   *
   * A refusal has done nothing. After `key taken` (by other content, or by a
   * tombstone) another key will do; after `raced`, trying again; `too many
   * pending` means that the user's other uploads of this kind (a single PUT, or in
   * parts) are at their cap: those that are pending, and those that were cancelled
   * while pending, until their URLs have expired.
   */
  reserve(intent: UploadIntent, deadline: Deadline): Promise<Reservation>;

  /** A file that is PENDING, still, takes over the intent's name, type and size, and is no longer `lost`. */
  updateIntent(intent: UploadIntent, deadline: Deadline): Promise<void>;

  /** The file, unless it is deleted or another user's. */
  find(ref: FileRef, deadline: Deadline): Promise<UserFile | undefined>;

  /**
   * READY files, newest first by (lastModified, s3Key), strictly behind `after`.
   * The prefix is compared byte by byte, and filters: the rarer its names, the
   * more of the user's files are walked for a page. So with a prefix a call
   * examines no more than so many (10,000), and answers what it found by then,
   * perhaps nothing, and with `examinedTo` where to go on.
   * The first page also brings the newest PENDING files that match, at most
   * `pendingLimit`, in the same round trip.
   */
  list(query: ListQuery, pendingLimit: number, deadline: Deadline): Promise<Listed>;

  /**
   * S3 was seen to hold the right bytes: PENDING becomes READY with what S3
   * said; a READY one is isFresh anew and keeps its time, by which pages are
   * ordered. One in parts comes due once more, a minute after it became READY. `undefined` when it was deleted meanwhile.
   */
  markReady(ref: FileRef, seen: StoredObject, deadline: Deadline): Promise<ReadyFile | undefined>;

  /**
   * S3 no longer holds what it was seen to hold: READY becomes PENDING and
   * `lost`, under the same key, until it is uploaded again or swept.
   * Changes nothing when a look younger than `file`'s has found it.
   */
  markLost(file: ReadyFile, deadline: Deadline): Promise<void>;

  /**
   * The file is gone for its user from here on, whatever happens next; its
   * tombstone keeps the key until it is purgeable. A cancelled upload goes on
   * counting as pending until its URL has expired; one in parts, until the URLs
   * of its parts have, and not for the week that it would have been kept.
   * `undefined`: there is no such file.
   */
  markDeleted(ref: FileRef, deadline: Deadline): Promise<Tombstone | undefined>;

  /**
   * Gives up a purgeable PENDING file: from here on it is a deleted one. `undefined`
   * when it is not pending, or is not purgeable any more. What S3 has of it may be
   * removed only after this: who asks for it again gets another key.
   */
  expireUpload(ref: FileRef, deadline: Deadline): Promise<Tombstone | undefined>;

  /** S3 was seen to have no upload in parts under the key of a READY file: it is due no more. */
  clearSweep(ref: FileRef, deadline: Deadline): Promise<void>;

  /** An upload in parts that is pending; `undefined` when it is not, or is no such file. */
  findUpload(ref: FileRef, deadline: Deadline): Promise<PendingUpload | undefined>;

  /**
   * The same, and its life starts anew. `undefined` also when its life was over and its place has been given to
   * another upload: only a new reservation keeps it then, if there is a place for it.
   */
  renewUpload(ref: FileRef, deadline: Deadline): Promise<PendingUpload | undefined>;

  /**
   * Writes down what S3 calls a pending upload, whoever of those that know it is first. `false` when it is called
   * neither that nor `before`, or is not pending.
   */
  setUploadId(
    ref: FileRef,
    uploadId: string,
    before: string | undefined,
    deadline: Deadline,
  ): Promise<boolean>;

  /**
   * Up to `limit` rows, and no more than 100, of any user whose time has come, in
   * no order, but for rows that somebody is writing at this moment. No other
   * sweeper gets them before `leaseSeconds` have passed. Whoever dies with a claim
   * loses nothing: the rows come due again.
   *
   * Where more are due than that, users take turns: most of the claim is shared
   * evenly by users who have rows that are due, each with its oldest, and the next
   * claim goes on behind the last of them. A user's backlog of any size costs the
   * others no more than its share. The rest are those that have waited longest of
   * all, so that none waits for ever, however many users there are.
   */
  leaseDue(limit: number, leaseSeconds: number, deadline: Deadline): Promise<DueFile[]>;

  /**
   * There is nothing to do yet: the row comes due again after a pause that grows
   * up to a day, and at the latest when it settles. One that is not due stays as it is.
   */
  reschedule(ref: FileRef, deadline: Deadline): Promise<void>;

  /** Forgets a purgeable PENDING or DELETED row; `false` when it is neither, or is not purgeable (any more). */
  purge(ref: FileRef, deadline: Deadline): Promise<boolean>;

  /** Seconds by which the oldest due row is late; 0 when none is. */
  oldestOverdueSeconds(deadline: Deadline): Promise<number>;
}

/**
 * Where the bytes are. @throws FileError STORAGE_UNAVAILABLE when S3 does not
 * answer by the deadline, or answers with anything that is not about the object.
 * @throws DeadlineExceededError when no time was left to ask it: nothing has happened.
 */
export interface ObjectStore {
  /** What S3 says of the object; `undefined` when there is none. */
  head(s3Key: string, deadline: Deadline): Promise<StoredObject | undefined>;

  /** Removes the object. Removing one that is not there is a success. */
  remove(s3Key: string, deadline: Deadline): Promise<void>;
}

/**
 * Uploads in parts, as S3 keeps them until they are completed or aborted. @throws
 * as ObjectStore
 */
export interface MultipartStore {
  /** @returns what S3 calls it */
  begin(s3Key: string, mimeType: string, deadline: Deadline): Promise<string>;

  /** Every upload under this very key that is under way, whoever began it. */
  uploadsOf(s3Key: string, deadline: Deadline): Promise<string[]>;

  /** In the order of their numbers; `undefined` when S3 knows no such upload. */
  parts(s3Key: string, uploadId: string, deadline: Deadline): Promise<StoredPart[] | undefined>;

  /** Makes the object. A failure says nothing of whether it was made: look. */
  complete(s3Key: string, uploadId: string, parts: readonly StoredPart[], deadline: Deadline): Promise<void>;

  /** Aborting one that is not there is a success. */
  abort(s3Key: string, uploadId: string, deadline: Deadline): Promise<void>;
}

export interface PresignedUpload {
  url: string;
  requiredHeaders: Record<string, string>;
  expireTime: Date;
}

export interface PresignedParts {
  urls: { number: number; url: string; requiredHeaders: Record<string, string> }[];
  /** The earliest of them. */
  expireTime: Date;
}

export interface PresignedDownload {
  url: string;
  expireTime: Date;
}

/** Makes URLs. Pure computation, but for credentials that may have to be fetched. */
export interface Presigner {
  /** A PUT that S3 accepts for these very bytes alone: their MD5 is signed, the type too, and the size where it is known. */
  presignUpload(upload: {
    s3Key: string;
    mimeType: string;
    md5: Md5;
    size: number | undefined;
  }): Promise<PresignedUpload>;

  /** PUTs of parts; each is accepted for these very bytes alone. */
  presignParts(upload: {
    s3Key: string;
    uploadId: string;
    parts: readonly { number: number; md5: string; size: number }[];
  }): Promise<PresignedParts>;

  /**
   * A GET that answers as an attachment with this name and type. The response has none of the headers that an uploader
   * can store with an object beside the signed ones (Content-Encoding, Cache-Control, Expires, Content-Language).
   */
  presignDownload(download: {
    s3Key: string;
    filename: string;
    mimeType: string;
  }): Promise<PresignedDownload>;
}

/** A row, as far as it can be held against an object. */
export interface ListedRow extends FileRef {
  state: 'ready' | 'pending' | 'deleted';
  size: number;
  /** Empty unless READY. */
  etag: string;
}

/** The whole table, for an operator's comparison. */
export interface RowInventory {
  /** Every row of every user as of one moment, in the order of the keys' bytes, a page at a time. */
  scan(): AsyncIterable<ListedRow>;
  /** Whether there is any row of this key, a tombstone included. */
  has(ref: FileRef): Promise<boolean>;
  /** Whether there is a row that knows of uploads under this key, and will remove them if they come to nothing. */
  ownsUploads(ref: FileRef): Promise<boolean>;
}

export interface ListedObject {
  s3Key: string;
  size: number;
  etag: string;
  lastModified: Date;
}

/** An upload in parts that is neither completed nor aborted. */
export interface ListedUpload {
  s3Key: string;
  uploadId: string;
  initiated: Date;
}

/** The whole bucket, for an operator's comparison. */
export interface BucketInventory {
  /** Every object in the order of the keys' bytes, a page at a time. @throws FileError STORAGE_UNAVAILABLE */
  list(): AsyncIterable<ListedObject>;
  /** Every upload in parts that is under way, in the same order. */
  uploads(): AsyncIterable<ListedUpload>;
}

/** What the operations tell of things that no caller is told. */
export interface Observer {
  /** The object is not what was announced: somebody else wrote into the bucket, or a client added a Content-Encoding. */
  contentMismatch(ref: FileRef, seen: StoredObject): void;
  /** S3 failed where the call could go on without it. */
  storageFailed(step: string, error: unknown): void;
}

/** Wraps one step against Postgres or S3, by its name, for metrics and traces. It changes nothing of what the step gives or throws. */
export type ObserveStep = <Result>(step: string, run: () => Promise<Result>) => Promise<Result>;
