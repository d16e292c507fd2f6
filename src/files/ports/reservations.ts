import type { Call } from '../call.ts';
import type { UserFile } from '../file.ts';
import type { Fingerprint } from '../rules/fingerprint.ts';
import type { S3Key } from '../rules/s3-key.ts';

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
  | { refused: 'key taken' | 'contention' }
  | ({ refused: 'too many pending' } & PendingCap);

/**
 * The limit of a user's pending uploads. Uploads with a single PUT and multipart uploads have separate
 * limits.
 */
export interface PendingCap {
  kind: 'single' | 'multipart';
  limit: number;
}

/** Part of `FileStore`: finds or creates a file before its bytes are uploaded. */
export interface Reservations {
  /**
   * Returns the user's file with this content that is not deleted. At most one exists, even if many calls ask at once.
   * If none exists, `reserve` creates a PENDING file from the intent. For a PENDING file, new or old, the lifetime of
   * its URLs starts again, so that the caller may sign a URL, or may upload parts. The row of a READY file is not
   * changed.
   *
   * `created` says that this call created the file. No URL for the file can exist then, so the caller
   * need not ask S3.
   *
   * A refusal changes nothing:
   * - `key taken`: other content, or the row of a deleted file, has the key; the caller retries with another key.
   * - `contention`: a concurrent call interfered; the caller retries.
   * - `too many pending`: the user's other uploads of this kind (single PUT or multipart) reach their limit.
   *   Pending uploads count, and so do uploads that were cancelled while pending, until their URLs have
   *   expired.
   */
  reserve(call: Call, intent: UploadIntent): Promise<Reservation>;

  /**
   * Gives a file that is still PENDING the intent's name, type and size. The file is no longer `lost` (was READY, and
   * S3 then no longer had its object).
   */
  updateIntent(call: Call, intent: UploadIntent): Promise<void>;
}

/** Part of `FileStore`: `reserve` for many uploads with a single PUT. */
export interface BatchReservations {
  /**
   * Reserves each of the files as `reserve` does, with few statements. Each row changes in one atomic transition, but
   * the rows of a batch may be visible before the call returns. If several new files have one key, the first gets the
   * key. A pending slot is one place within the limit of a user's pending uploads. If the slots suffice for only some
   * of the new files, the first of them get the slots. A PENDING file may have no slot, because it was lost, or
   * because its slot was released after its URL expired. It is then refused with `contention`, and the caller calls
   * `reserve` for it, which can give it a slot. A PENDING file that another session has locked is refused in the same
   * way, and `reserve` waits for the lock.
   *
   * @param intents of different contents, without `parts`
   * @returns the reservations in the order of the intents
   */
  reserveMany(call: Call, intents: readonly UploadIntent[]): Promise<Reservation[]>;
}
