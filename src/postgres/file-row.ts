/** Converts rows of the table `files` to the types of the port `FileStore` (the interface in `../files/ports/`). */
import type { Selectable } from 'kysely';
import type { PendingFile, ReadyFile, UserFile } from '../files/file.ts';
import type { PendingUpload } from '../files/ports/pending-uploads.ts';
import type { DueFile } from '../files/ports/sweep-queue.ts';
import type { Tombstone } from '../files/ports/transitions.ts';
import type { Fingerprint } from '../files/rules/fingerprint.ts';
import { MD5_BYTES } from '../files/rules/md5.ts';
import type { S3Key } from '../files/rules/s3-key.ts';
import type { Schema } from './schema.ts';
import type { COLUMNS } from './statements/expressions.ts';

/** The columns of a `UserFile`, as `pg` returns them. */
export type FileRow = Pick<Selectable<Schema['files']>, (typeof COLUMNS)[number]> & {
  /**
   * Whether the service has seen the object in S3 within the last `verificationTtlSeconds` (`store-limits.ts`). Null or
   * `false` if it has never seen the object.
   */
  is_fresh: boolean | null;
};

/** A pending multipart upload. */
export interface UploadRow extends FileRow {
  part_size: string;
  part_md5s: Buffer;
  upload_id: string | null;
}

/** A tombstone is the row of a deleted file. These are the columns that the cleanup of the file needs. */
export type TombstoneRow = Pick<FileRow, 'user_id' | 's3_key'> & { is_multipart: boolean };

export function toFile(row: FileRow): UserFile {
  return row.state === 'ready' ? toReadyFile(row) : toPendingFile(row);
}

export function toPendingFile(row: FileRow): PendingFile {
  return {
    ...commonFields(row),
    state: 'pending',
    size: row.size === null ? undefined : Number(row.size),
    lost: row.lost,
  };
}

export function toTombstone(row: TombstoneRow): Tombstone {
  return { userId: row.user_id, s3Key: row.s3_key as S3Key, isMultipart: row.is_multipart };
}

export function toDueFile(row: FileRow & TombstoneRow & { purgeable: boolean }): DueFile {
  const { state, purgeable } = row;
  switch (state) {
    case 'pending':
      return { state, file: toPendingFile(row), purgeable };
    case 'ready':
      return { state, file: toReadyFile(row) };
    case 'deleted':
      return { state, ref: toTombstone(row), lost: row.lost, purgeable };
  }
}

export function toPendingUpload(row: UploadRow): PendingUpload {
  const file = toPendingFile(row);
  const { part_md5s: md5s, upload_id } = row;
  const parts = {
    size: Number(row.size),
    partSize: Number(row.part_size),
    count: md5s.length / MD5_BYTES,
    md5s,
  };
  return { file, parts, uploadId: upload_id ?? undefined };
}

export function toReadyFile(row: FileRow): ReadyFile {
  const { size, etag, last_modified, verified_at } = row;
  if (size === null || etag === null || last_modified === null || verified_at === null) {
    throw new Error(
      'a READY row has no size, etag, last_modified or verified_at, which its CHECK constraint forbids',
    );
  }
  return {
    ...commonFields(row),
    state: 'ready',
    size: Number(size),
    etag,
    lastModified: last_modified,
    verifiedAt: verified_at,
    isFresh: row.is_fresh === true,
  };
}

export function commonFields(row: FileRow) {
  return {
    userId: row.user_id,
    s3Key: row.s3_key as S3Key,
    filename: row.filename,
    mimeType: row.mime_type,
    fingerprint: toFingerprint(row.fingerprint),
    createTime: row.create_time,
  };
}

export function fromFingerprint(fingerprint: Fingerprint): Buffer {
  const [md5 = '', parts] = fingerprint.split('-');
  const bytes = Buffer.from(md5, 'hex');
  if (parts === undefined) return bytes;
  // Two bytes are enough: S3 accepts at most 10,000 parts (Amazon S3 User Guide, "Multipart upload limits").
  const number = Buffer.alloc(2);
  number.writeUInt16BE(Number(parts));
  return Buffer.concat([bytes, number]);
}

function toFingerprint(bytes: Buffer): Fingerprint {
  const md5 = bytes.toString('hex', 0, MD5_BYTES);
  return (bytes.length === MD5_BYTES ? md5 : `${md5}-${bytes.readUInt16BE(MD5_BYTES)}`) as Fingerprint;
}
