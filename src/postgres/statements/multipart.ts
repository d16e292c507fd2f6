/** Statements about pending multipart uploads. */
import { sql } from 'kysely';
import type { UploadRow } from '../file-row.ts';
import { after, columns, firstPause, holdsSlot, type RowKey } from './expressions.ts';
import { prepare } from './prepared.ts';

const uploadColumns = sql`${columns}, false as is_fresh, upload_id, part_size, part_md5s`;

export const findUpload = prepare<RowKey, UploadRow>(
  'find_upload',
  ({ userId, s3Key }) => sql`
    select ${uploadColumns} from files
    where user_id = ${userId} and s3_key = ${s3Key} and part_md5s is not null`,
);

/**
 * Starts the lifetime of an upload again, if the upload still holds a slot: a number that counts against the cap on the
 * user's pending uploads. An expired upload may have lost its slot to another upload of the user. Renewing the expired
 * upload would then exceed the cap.
 */
export const renewUpload = prepare<RowKey & { multipartSeconds: number }, UploadRow>(
  'renew_upload',
  ({ userId, s3Key, multipartSeconds }) => sql`
    update files set
      url_expire_at = greatest(url_expire_at, ${after(multipartSeconds)}),
      due_at = ${firstPause},
      sweep_attempts = 0
    where user_id = ${userId} and s3_key = ${s3Key} and part_md5s is not null and ${holdsSlot}
    returning ${uploadColumns}`,
);

/**
 * Stores the id that S3 gave an upload, if the row still has the id that the caller read (`before`). A concurrent call
 * may have found the same upload under the key in S3 and stored the same id first. Both calls then succeed.
 */
export const setUploadId = prepare<RowKey & { uploadId: string; before: string | null }, { s3_key: string }>(
  'set_upload_id',
  ({ userId, s3Key, uploadId, before }) => sql`
    update files set upload_id = ${uploadId}
    where user_id = ${userId} and s3_key = ${s3Key} and part_md5s is not null
      and (upload_id is not distinct from ${before} or upload_id = ${uploadId})
    returning s3_key`,
);
