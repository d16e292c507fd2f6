import type { Selectable } from 'kysely';
import type { PendingFile, ReadyFile, UserFile } from '../files/file.ts';
import type { Md5 } from '../files/md5.ts';
import type { COLUMNS } from './expressions.ts';
import type { Schema } from './schema.ts';

/** The columns that make a `UserFile`, as `pg` returns them. */
export type FileRow = Pick<Selectable<Schema['files']>, (typeof COLUMNS)[number]> & {
  /** Whether the last look is younger than the trust window; null where there was none. */
  trusted: boolean | null;
};

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
