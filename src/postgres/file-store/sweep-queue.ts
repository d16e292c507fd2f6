import type { SweepQueue } from '../../files/ports/sweep-queue.ts';
import type { Database } from '../connection/database.ts';
import { toDueFile } from '../file-row.ts';
import * as statements from '../statements/sweeps.ts';
import { clearSweep } from '../statements/transitions.ts';
import type { StoreLimits } from '../store-limits.ts';
import { rowKey } from './row-key.ts';

export function createSweepQueue(database: Database, limits: StoreLimits): SweepQueue {
  /**
   * The last user that `leaseDue` examined: the next lease continues after this user. A restart loses the
   * value, and then only the order of the users begins anew.
   */
  let lastUser = '';
  return {
    async leaseDue(work, limit, leaseSeconds) {
      const params = { limit, leaseSeconds, lastUser, ...limits };
      const rows = await database.run(work, statements.leaseDue, params);
      lastUser = rows[0]?.last_user ?? '';
      return rows.map(toDueFile);
    },

    async reschedule(call, s3Key) {
      await database.run(call, statements.reschedule, { ...rowKey(call, s3Key), ...limits });
    },

    async purge(call, s3Key) {
      const rows = await database.run(call, statements.purge, { ...rowKey(call, s3Key), ...limits });
      return rows.length === 1;
    },

    async oldestOverdueSeconds(work) {
      const [row] = await database.run(work, statements.oldestOverdue, {});
      return row?.seconds ?? 0;
    },

    async clearSweep(call, s3Key) {
      await database.run(call, clearSweep, rowKey(call, s3Key));
    },
  };
}
