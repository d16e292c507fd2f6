import type { Generated } from 'kysely';

/** The tables as Kysely sees them; the migrations make them. */
export interface Schema {
  files: FilesTable;
}

/**
 * One row per upload that was asked for, until it is purgeable.
 *
 * Times are `timestamptz(3)`: Postgres rounds to the milliseconds that a
 * JavaScript Date can hold, so that a page's position loses nothing.
 */
interface FilesTable {
  user_id: string;
  s3_key: string;
  state: 'pending' | 'ready' | 'deleted';
  filename: string;
  mime_type: string;
  /** The 16 bytes of the MD5; of a file in parts, of the parts' MD5s, and two more for their number. */
  fingerprint: Buffer;
  /** int8 arrives as text; as announced while pending, as S3 says when ready. */
  size: string | null;
  etag: string | null;
  /** By S3's clock, when the bytes were first seen. Pages are ordered by it, so it stays. */
  last_modified: Date | null;
  create_time: Generated<Date>;
  /** When S3 was last seen to hold the bytes. */
  verified_at: Date | null;
  /** The end of the last URL's life, or later. */
  url_expire_at: Date;
  /** The object of a READY file was found gone. */
  lost: Generated<boolean>;
  /** When the sweeper is to look; null for READY, but for a short while after it was made of parts. */
  due_at: Date | null;
  /**
   * Every pending upload with a living URL holds one of its user's slots, and no two
   * hold the same: the unique index counts them, without a race and without a counter
   * that every create of a user would wait for. Single PUTs hold 1 to their cap,
   * uploads in parts -1 to minus theirs. A tombstone keeps the slot of the upload that
   * it cancelled until its URL has expired.
   */
  pending_slot: number | null;
  /** Of a pending upload in parts, else null: bytes of each part but the last. */
  part_size: string | null;
  /** 16 bytes for each part, in their order. */
  part_md5s: Buffer | null;
  /** What S3 calls the upload, from when that was written down. */
  upload_id: string | null;
  /** How often the sweeper has looked in vain; the pauses grow with it. */
  sweep_attempts: Generated<number>;
}
