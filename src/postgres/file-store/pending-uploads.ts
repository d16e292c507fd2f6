import type { PendingUploads } from '../../files/ports/pending-uploads.ts';
import type { Database } from '../connection/database.ts';
import { toPendingUpload } from '../file-row.ts';
import * as statements from '../statements/multipart.ts';
import type { StoreLimits } from '../store-limits.ts';
import { rowKey } from './row-key.ts';

export function createPendingUploads(database: Database, limits: StoreLimits): PendingUploads {
  return {
    async findUpload(call, s3Key) {
      const [row] = await database.run(call, statements.findUpload, rowKey(call, s3Key));
      return row && toPendingUpload(row);
    },

    async renewUpload(call, s3Key) {
      const [row] = await database.run(call, statements.renewUpload, { ...rowKey(call, s3Key), ...limits });
      return row && toPendingUpload(row);
    },

    async setUploadId(call, s3Key, uploadId, before) {
      const params = { ...rowKey(call, s3Key), uploadId, before: before ?? null };
      const rows = await database.run(call, statements.setUploadId, params);
      return rows.length === 1;
    },
  };
}
