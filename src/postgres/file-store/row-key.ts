/**
 * `src/postgres/file-store/` implements the ports `FileStore` and `EventQueue`, with one file for each part of these
 * ports (`src/files/ports/`). Most methods run one statement and turn its rows into records of the domain.
 *
 * The text of a statement belongs to `../statements/`, retries and time limits belong to `../connection/`.
 */
import type { Call } from '../../files/call.ts';
import type { S3Key } from '../../files/rules/s3-key.ts';
import type { RowKey } from '../statements/expressions.ts';

/**
 * The parameters with which a statement finds a row. They contain the user of the call, so no call finds a
 * row of another user.
 */
export function rowKey({ userId }: Call, s3Key: S3Key): RowKey {
  return { userId, s3Key };
}
