import type { SweepQueue } from '../../files/ports/sweep-queue.ts';
import type { Database } from '../connection/database.ts';
import { toDueFile } from '../file-row.ts';
import * as statements from '../statements/sweeps.ts';
import { clearSweep } from '../statements/transitions.ts';
import type { StoreLimits } from '../store-limits.ts';
import { rowKey } from './row-key.ts';

/** A time before the due time of every row. */
const BEGINNING = new Date(0);

/**
 * The queue of the sweeper (the background task that finishes interrupted work, `src/files/maintenance/sweeper.ts`).
 * `leaseDue` leases due rows: it hands them to one sweeper for a while.
 */
export function createSweepQueue(database: Database, limits: StoreLimits): SweepQueue {
  /**
   * The last user that `leaseDue` examined. The next lease continues after this user, because users take turns. A
   * restart loses the value, and then the turns begin with the first user. No row is lost.
   */
  let lastUser = '';
  return {
    async leaseDue(work, limit, leaseSeconds, dueFrom = BEGINNING) {
      const params = { limit, leaseSeconds, dueFrom, lastUser, ...limits };
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

    async findOldestDue(work, dueFrom = BEGINNING) {
      const [row] = await database.run(work, statements.oldestDue, { dueFrom });
      return { overdueSeconds: row?.overdue_seconds ?? 0, dueFrom: row?.due_from ?? dueFrom };
    },

    async clearSweep(call, s3Key) {
      await database.run(call, clearSweep, rowKey(call, s3Key));
    },
  };
}
