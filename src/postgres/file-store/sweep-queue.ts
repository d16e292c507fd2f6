import type { SweepQueue } from '../../files/ports/sweep-queue.ts';
import type { Database } from '../connection/database.ts';
import { toDueFile } from '../file-row.ts';
import { formFor } from '../statements/forms.ts';
import * as statements from '../statements/sweeps.ts';
import { clearSweep } from '../statements/transitions.ts';
import type { StoreLimits } from '../store-limits.ts';
import { BEGINNING, createLease } from './leases.ts';
import { rowKey } from './row-key.ts';

/** The queue of the sweeper (the background task that finishes interrupted work, `src/files/maintenance/sweeper.ts`). */
export function createSweepQueue(database: Database, limits: StoreLimits): SweepQueue {
  const form = formFor(limits);
  const lease = createLease(database, statements.leaseDue);
  return {
    async leaseDue(work, limit, leaseSeconds, dueFrom = BEGINNING) {
      return (await lease(work, { limit, leaseSeconds, dueFrom, ...limits })).map(toDueFile);
    },

    async reschedule(call, s3Key) {
      await database.run(call, statements.reschedule[form], { ...rowKey(call, s3Key), ...limits });
    },

    async purge(call, s3Key) {
      const rows = await database.run(call, statements.purge[form], { ...rowKey(call, s3Key), ...limits });
      return rows.length === 1;
    },

    async findOldestDue(work, dueFrom = BEGINNING) {
      const [row] = await database.run(work, statements.oldestDue, { dueFrom });
      return { overdueSeconds: row?.overdue_seconds ?? 0, dueFrom: row?.due_from ?? dueFrom };
    },

    async makeDue(work, keys) {
      const named = keys.filter(({ userId }) => userId !== undefined);
      const userIds = named.map(({ userId = '' }) => userId);
      const s3Keys = named.map(({ s3Key }) => s3Key);
      const hashed = keys.filter(({ userId }) => userId === undefined).map(({ s3Key }) => s3Key);
      let due = 0;
      if (named.length > 0) due += (await database.run(work, statements.makeDue, { userIds, s3Keys })).length;
      if (hashed.length > 0)
        due += (await database.run(work, statements.makeHashedDue, { s3Keys: hashed })).length;
      return due;
    },

    async clearSweep(call, s3Key) {
      await database.run(call, clearSweep, rowKey(call, s3Key));
    },
  };
}
