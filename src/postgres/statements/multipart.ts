/** Statements about pending multipart uploads. */
import { sql } from 'kysely';
import type { UploadRow } from '../file-row.ts';
import { after, COLUMNS, firstPause, holdsSlot, type RowKey } from './expressions.ts';
import { prepare } from './prepared.ts';

const notFresh = sql<boolean | null>`false`.as('is_fresh');

export const findUpload = prepare<RowKey>()<UploadRow>('find_upload', (db, param) =>
  db
    .selectFrom('files')
    .select([...COLUMNS, 'upload_id', notFresh])
    .select([sql<string>`part_size`.as('part_size'), sql<Buffer>`part_md5s`.as('part_md5s')])
    .where('user_id', '=', param('userId'))
    .where('s3_key', '=', param('s3Key'))
    .where('part_md5s', 'is not', null),
);

/**
 * Renews only uploads that still hold a pending slot. An expired upload may have lost its slot to another
 * upload of the user, and renewing it would exceed the cap on pending uploads.
 */
export const renewUpload = prepare<RowKey & { multipartSeconds: number }>()<UploadRow>(
  'renew_upload',
  (db, param) =>
    db
      .updateTable('files')
      .set({
        url_expire_at: sql`greatest(url_expire_at, ${after(param('multipartSeconds'))})`,
        due_at: firstPause,
        sweep_attempts: 0,
      })
      .where('user_id', '=', param('userId'))
      .where('s3_key', '=', param('s3Key'))
      .where('part_md5s', 'is not', null)
      .where(holdsSlot)
      .returning([...COLUMNS, 'upload_id', notFresh])
      .returning([sql<string>`part_size`.as('part_size'), sql<Buffer>`part_md5s`.as('part_md5s')]),
);

export const setUploadId = prepare<RowKey & { uploadId: string; before: string | null }>()<{
  s3_key: string;
}>('set_upload_id', (db, param) =>
  db
    .updateTable('files')
    .set({ upload_id: param('uploadId') })
    .where('user_id', '=', param('userId'))
    .where('s3_key', '=', param('s3Key'))
    .where('part_md5s', 'is not', null)
    // A concurrent call may have found the same upload under the key in S3, and stored its id first. Both
    // calls succeed.
    .where(({ or, eb }) =>
      or([
        eb('upload_id', 'is not distinct from', sql<string>`${param('before')}::text`),
        eb('upload_id', '=', param('uploadId')),
      ]),
    )
    .returning('s3_key'),
);
