import pg from 'pg';
import { DeadlineExceededError } from '../../files/deadline.ts';

/** What a driver's error means: for the caller, for the connection, and for whoever might try again. */

// Classes of SQLSTATE (PostgreSQL, Appendix A) that speak of the server and not
// of the statement: connection, authorisation, no such database, transaction
// rollback (deadlock), resources, operator intervention, system error. And
// 25006: the server is read-only, as after a failover.
const UNAVAILABLE_SQLSTATE = /^(08|28|3D|40|53|57|58)|^25006$/;

/** What is no answer of Postgres at all is a broken or missing connection, or a time-out of the client. */
export function isUnavailable(error: unknown): boolean {
  if (error instanceof DeadlineExceededError) return false;
  if (!(error instanceof pg.DatabaseError)) return true;
  return error.code !== undefined && UNAVAILABLE_SQLSTATE.test(error.code);
}

/** No answer came, although somebody was asked. */
export function isNoResponse(error: unknown): boolean {
  return !(error instanceof pg.DatabaseError || error instanceof DeadlineExceededError);
}

export function isUniqueViolation(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === '23505';
}

/**
 * The connection's kept statement will not do any more: a migration has changed a
 * column's type (0A000, told apart by who raises it), or a pooler has thrown it
 * away (26000). The connection is given up, so that the next prepares anew.
 */
export function isStaleStatement(error: unknown): boolean {
  if (!(error instanceof pg.DatabaseError)) return false;
  return error.code === '26000' || (error.code === '0A000' && error.routine === 'RevalidateCachedQuery');
}

// Refused before it was begun: 57P03 (starting up, shutting down), 53300 (no
// connection left). Rolled back: 40001 and 40P01 (serialization, deadlock), and
// 57P01, since a backend that is told to end does so between statements or inside
// one, not between a commit and its answer. 57P02 (another backend crashed) can
// strike just there, so a write may have happened.
const DID_NOT_HAPPEN = /^(57P01|57P03|53300|40001|40P01)$/;

/** For a read: the connection broke, however far it had come. */
const BROKEN = /^(08|57P02)/;

/** Whether a second try can do no harm, and may fare better. */
export function isWorthRepeating(error: unknown, reads: boolean): boolean {
  if (error instanceof DeadlineExceededError) return false;
  if (isStaleStatement(error)) return true;
  const { code = '' } = error as { code?: string };
  if (error instanceof pg.DatabaseError) return DID_NOT_HAPPEN.test(code) || (reads && BROKEN.test(code));
  return code === 'ECONNREFUSED' || reads;
}
