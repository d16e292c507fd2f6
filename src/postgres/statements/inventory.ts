/** Statements of `reconcile` about one row, whatever its state is. */
import { sql } from 'kysely';
import { isMultipart, type RowKey } from './expressions.ts';
import { prepare } from './prepared.ts';

export const hasRow = prepare<RowKey, { s3_key: string }>(
  'has_row',
  ({ userId, s3Key }) => sql`select s3_key from files where user_id = ${userId} and s3_key = ${s3Key}`,
);

/** A multipart upload that is not READY: its pending row or its tombstone comes due and removes it. */
export const ownsUploads = prepare<RowKey, { s3_key: string }>(
  'owns_uploads',
  ({ userId, s3Key }) => sql`
    select s3_key from files
    where user_id = ${userId} and s3_key = ${s3Key} and due_at is not null and ${isMultipart}`,
);
