import type { Selectable } from 'kysely';
import type { PendingFile, ReadyFile, UserFile } from '../files/file.ts';
import type { DueFile, PendingUpload, Tombstone } from '../files/ports.ts';
import type { Fingerprint } from '../files/rules/fingerprint.ts';
import type { Schema } from './schema.ts';
import type { COLUMNS } from './statements/expressions.ts';

const MD5_BYTES = 16;

/** The columns that make a `UserFile`, as `pg` returns them. */
export type FileRow = Pick<Selectable<Schema['files']>, (typeof COLUMNS)[number]> & {
  /** Whether the last look is younger than the trust window; null where there was none. */
  is_fresh: boolean | null;
};

/** A pending upload in parts. */
export interface UploadRow extends FileRow {
  part_size: string;
  part_md5s: Buffer;
  upload_id: string | null;
}

/** What is left of a deleted file. */
export type TombstoneRow = Pick<FileRow, 'user_id' | 's3_key'> & { is_multipart: boolean };

export function toFile(row: FileRow): UserFile {
  return row.state === 'ready' ? toReadyFile(row) : toPendingFile(row);
}

export function toPendingFile(row: FileRow): PendingFile {
  return {
    ...facts(row),
    state: 'pending',
    size: row.size === null ? undefined : Number(row.size),
    lost: row.lost,
  };
}

export function toTombstone(row: TombstoneRow): Tombstone {
  return { userId: row.user_id, s3Key: row.s3_key, isMultipart: row.is_multipart };
}

export function toDueFile(row: FileRow & TombstoneRow & { purgeable: boolean }): DueFile {
  const { state, purgeable } = row;
  switch (state) {
    case 'pending':
      return { state, file: toPendingFile(row), purgeable };
    case 'ready':
      return { state, file: toReadyFile(row) };
    case 'deleted':
      return { state, ref: toTombstone(row), purgeable };
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
    throw new Error('a READY row lacks what its table constraint demands');
  }
  return {
    ...facts(row),
    state: 'ready',
    size: Number(size),
    etag,
    lastModified: last_modified,
    verifiedAt: verified_at,
    isFresh: row.is_fresh === true,
  };
}

function facts(row: FileRow) {
  return {
    userId: row.user_id,
    s3Key: row.s3_key,
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
  // Two bytes hold the 10,000 that S3 takes.
  const number = Buffer.alloc(2);
  number.writeUInt16BE(Number(parts));
  return Buffer.concat([bytes, number]);
}

function toFingerprint(bytes: Buffer): Fingerprint {
  const md5 = bytes.toString('hex', 0, MD5_BYTES);
  return (bytes.length === MD5_BYTES ? md5 : `${md5}-${bytes.readUInt16BE(MD5_BYTES)}`) as Fingerprint;
}
