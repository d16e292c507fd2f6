import { sql } from 'kysely';
import type { UploadRow } from '../file-row.ts';
import { after, COLUMNS, firstPause, holdsSlot, type RowKey } from './expressions.ts';
import { prepare } from './prepared.ts';

/** Uploads in parts that are under way. */

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

/** Only one that holds a slot: its owner's other uploads may have it by now, and the cap is on all that are kept. */
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
    // Whoever looked under the key meanwhile may have found this very one, and bound it: it is everybody's by now.
    .where(({ or, eb }) =>
      or([
        eb('upload_id', 'is not distinct from', sql<string>`${param('before')}::text`),
        eb('upload_id', '=', param('uploadId')),
      ]),
    )
    .returning('s3_key'),
);
