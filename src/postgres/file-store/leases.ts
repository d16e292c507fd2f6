import type { Work } from '../../files/call.ts';
import type { Database } from '../connection/database.ts';
import type { Prepared } from '../statements/prepared.ts';
import type { LeasedRow, LeaseParams } from '../statements/queue.ts';

/** A time before the due time of every row. */
export const BEGINNING = new Date(0);

/**
 * Returns a function that leases due rows of a queue: it hands them to one instance for a while. Users take turns, so the
 * next lease continues after the last user that this lease examined. A restart forgets that user, and then the turns
 * begin with the first user. No row is lost.
 */
export function createLease<Params extends LeaseParams, Row extends LeasedRow>(
  database: Database,
  statement: Prepared<Params, Row>,
): (work: Work, params: Omit<Params, 'lastUser'>) => Promise<Row[]> {
  let lastUser = '';
  return async (work, params) => {
    const rows = await database.run(work, statement, { ...params, lastUser } as Params);
    lastUser = rows[0]?.last_user ?? '';
    return rows;
  };
}
