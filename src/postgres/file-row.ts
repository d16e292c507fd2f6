import type { PendingFile, ReadyFile, UserFile } from '../files/file.ts';
import type { Md5 } from '../files/md5.ts';

/** The columns that make a `UserFile`, as `pg` returns them. */
export interface FileRow {
  user_id: string;
  s3_key: string;
  state: 'pending' | 'ready' | 'deleted';
  filename: string;
  mime_type: string;
  fingerprint: Buffer;
  size: string | null;
  etag: string | null;
  last_modified: Date | null;
  seen_at: Date | null;
  create_time: Date;
  lost: boolean;
  trusted: boolean | null;
}

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
    md5: row.fingerprint.toString('base64') as Md5,
    createTime: row.create_time,
  };
}
