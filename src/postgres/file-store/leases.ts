import type { Work } from '../../files/call.ts';
import type { Database } from '../connection/database.ts';
import type { Prepared } from '../statements/prepared.ts';
import type { LeasedRow, LeaseParams } from '../statements/queue.ts';

/** A time before the due time of every row. */
export const BEGINNING = new Date(0);

/** The number starts again here, long before it exceeds an integer of Postgres. */
const LEASE_NUMBERS = 1_000_000;

/**
 * Returns a function that leases due rows of a queue: it hands them to one instance for a while. Users take turns, so the
 * next lease continues after the last user that this lease examined. A restart forgets that user, and then the turns
 * begin with the first user. No row is lost.
 */
export function createLease<Params extends LeaseParams, Row extends LeasedRow>(
  database: Database,
  statement: Prepared<Params, Row>,
): (work: Work, params: Omit<Params, 'lastUser' | 'leaseNumber'>) => Promise<Row[]> {
  let lastUser = '';
  let leaseNumber = 0;
  return async (work, params) => {
    const turns = { lastUser, leaseNumber };
    leaseNumber = (leaseNumber + 1) % LEASE_NUMBERS;
    const rows = await database.run(work, statement, { ...params, ...turns } as Params);
    lastUser = rows[0]?.last_user ?? lastUser;
    return rows;
  };
}
