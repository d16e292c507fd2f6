import type { Selectable } from 'kysely';
import type { PendingFile, ReadyFile, UserFile } from '../files/file.ts';
import type { Fingerprint } from '../files/fingerprint.ts';
import type { DueFile, PendingUpload, Tombstone } from '../files/ports.ts';
import type { COLUMNS } from './expressions.ts';
import type { Schema } from './schema.ts';
import type { UploadRow } from './uploads.ts';

const MD5_BYTES = 16;

/** The columns that make a `UserFile`, as `pg` returns them. */
export type FileRow = Pick<Selectable<Schema['files']>, (typeof COLUMNS)[number]> & {
  /** Whether the last look is younger than the trust window; null where there was none. */
  trusted: boolean | null;
};

/** What is left of a deleted file. */
export type TombstoneRow = Pick<FileRow, 'user_id' | 's3_key'> & { in_parts: boolean };

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
  return { userId: row.user_id, s3Key: row.s3_key, inParts: row.in_parts };
}

export function toDueFile(row: FileRow & TombstoneRow & { settled: boolean }): DueFile {
  const { state, settled } = row;
  switch (state) {
    case 'pending':
      return { state, file: toPendingFile(row), settled };
    case 'ready':
      return { state, file: toReadyFile(row) };
    case 'deleted':
      return { state, ref: toTombstone(row), settled };
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
  const { size, etag, last_modified, seen_at } = row;
  if (size === null || etag === null || last_modified === null || seen_at === null) {
    throw new Error('a READY row lacks what its table constraint demands');
  }
  return {
    ...facts(row),
    state: 'ready',
    size: Number(size),
    etag,
    lastModified: last_modified,
    seenAt: seen_at,
    trusted: row.trusted === true,
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
