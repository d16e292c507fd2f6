import type { Generated } from 'kysely';

/** The types of the columns. The migrations create the table. */
export interface Schema {
  files: FilesTable;
}

/**
 * One row per file, from the request for its upload until the row is purged: the file was deleted or its upload
 * has expired, and the row is *purgeable*, because no URL that the service handed out can write to the key any more.
 *
 * Times are `timestamptz(3)`, because a JavaScript `Date` holds milliseconds. A time of a row that marks a position
 * in a list is read into a `Date`, and must still equal the column when a statement compares it.
 */
interface FilesTable {
  user_id: string;
  s3_key: string;
  state: 'pending' | 'ready' | 'deleted';
  filename: string;
  mime_type: string;
  /** Whether creates announced different types while the file was pending. URLs for each of them may still write. */
  type_changed: Generated<boolean>;
  /**
   * The 16 bytes of the content's MD5. For a multipart upload, the MD5 of the concatenated MD5s of its parts,
   * and two more bytes for the number of parts.
   */
  fingerprint: Buffer;
  /**
   * Bytes; `pg` returns an int8 as text. The announced size while the file is pending; the size that S3
   * reports when the file is READY.
   */
  size: string | null;
  etag: string | null;
  /**
   * S3's Last-Modified from the verification that made the file READY. It does not change while the file is
   * READY, because pages are ordered by it.
   */
  last_modified: Date | null;
  create_time: Generated<Date>;
  /** The time of the last successful verification of the object in S3. */
  verified_at: Date | null;
  /** The last upload URL expires at this time or earlier. */
  url_expire_at: Date;
  /** The file was READY, and then its object was missing in S3. */
  lost: Generated<boolean>;
  /**
   * The time at which the sweeper (the background task that finishes or removes what calls left unfinished,
   * `src/files/maintenance/sweeper.ts`) next handles the row. Null for READY files, except for about a minute after a
   * multipart upload was completed.
   */
  due_at: Date | null;
  /**
   * A number that counts against the cap on the user's pending uploads. Every pending upload whose URL has
   * not expired holds a slot, and a unique index forbids that two uploads of a user hold the same slot. So
   * the index enforces the cap without races, and without a counter row that all creates of the user would
   * have to lock.
   *
   * Single PUTs hold the numbers from 1 to their cap, multipart uploads the numbers from -1 to minus their cap.
   * When an upload is cancelled, its row becomes DELETED and keeps the slot until the URL has expired.
   */
  pending_slot: number | null;
  /** Bytes of each part but the last. Null unless the row is a pending multipart upload. */
  part_size: string | null;
  /**
   * The MD5 of each part, 16 bytes each, in the order of the parts. Null unless the row is a pending
   * multipart upload.
   */
  part_md5s: Buffer | null;
  /** S3's UploadId. Null until `setUploadId` has stored it. */
  upload_id: string | null;
  /**
   * How often the sweeper found nothing to do for the row. Its pauses grow with this number. It begins below 0 if early
   * sweeps come first (`statements/expressions.ts`).
   */
  sweep_attempts: Generated<number>;
  /**
   * The revision of the last change that made an event due; `pg` returns an int8 as text. Microseconds since 1970, and
   * more than the revision before. 0 if the file never had an event.
   */
  revision: Generated<string>;
  /** The time of the next delivery of the file's newest event. Null if there is nothing to deliver. */
  event_due_at: Date | null;
  /** How often the delivery of this revision has failed. The pauses grow with this number. */
  event_attempts: Generated<number>;
}
