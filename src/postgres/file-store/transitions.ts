import type { Transitions } from '../../files/ports/transitions.ts';
import type { Database } from '../connection/database.ts';
import { toReadyFile, toTombstone } from '../file-row.ts';
import { formFor } from '../statements/forms.ts';
import * as statements from '../statements/transitions.ts';
import type { StoreLimits } from '../store-limits.ts';
import { rowKey } from './row-key.ts';

export function createTransitions(database: Database, limits: StoreLimits): Transitions {
  const form = formFor(limits);
  return {
    async markReady(call, s3Key, seen) {
      const [row] = await database.run(call, statements.markReady[form], { ...rowKey(call, s3Key), ...seen });
      return row && toReadyFile(row);
    },

    async markReadyMany(call, seen) {
      const objects = [...seen.values()];
      const rows = await database.run(call, statements.markReadyMany[form], {
        userId: call.userId,
        s3Keys: [...seen.keys()],
        sizes: objects.map(({ size }) => size),
        etags: objects.map(({ etag }) => etag),
        mimeTypes: objects.map(({ mimeType }) => mimeType),
        modifiedTimes: objects.map(({ lastModified }) => lastModified),
      });
      return rows.map(toReadyFile);
    },

    async markLost(call, s3Key, verifiedAt) {
      await database.run(call, statements.markLost[form], { ...rowKey(call, s3Key), verifiedAt });
    },

    async markDeleted(call, s3Key) {
      const [row] = await database.run(call, statements.markDeleted[form], {
        ...rowKey(call, s3Key),
        ...limits,
      });
      // The row may be a tombstone, the row of a deleted file, from an earlier delete whose commit still waits for the
      // synchronous standby. The caller takes `undefined` as proof that the file is deleted, so `confirmTombstone`
      // waits for the standby too.
      if (row === undefined) await database.run(call, statements.confirmTombstone, rowKey(call, s3Key));
      return row && toTombstone(row);
    },

    async expireUpload(call, s3Key) {
      const [row] = await database.run(call, statements.expireUpload[form], {
        ...rowKey(call, s3Key),
        ...limits,
      });
      return row && toTombstone(row);
    },
  };
}
