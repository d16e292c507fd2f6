/** Classifies the driver's errors: what they mean for the caller, for the connection, and for a retry. */
import pg from 'pg';
import { DeadlineExceededError } from '../../files/deadline.ts';
import { NotReplicatedError } from './prepared-query.ts';
import { PasswordFileError } from './servers.ts';

// SQLSTATEs (PostgreSQL, Appendix A) of errors that come from the state of the server and not from the statement.
// Whole classes: connection (08), authorisation (28), no such database (3D), transaction rollback, such as a deadlock
// (40), resources (53), operator intervention (57), system error (58). Single codes: 25006 (the server is read-only,
// as after a failover) and 55P03 (a lock was not free within lock_timeout).
const UNAVAILABLE_SQLSTATE = /^(08|28|3D|40|53|57|58)|^25006$|^55P03$/;

/**
 * Whether the caller may retry later, because Postgres was not reachable or not able to run the statement. Every error
 * that Postgres did not send counts, because it is a broken connection, a missing connection or a time-out of the
 * client. A deadline of the caller that has passed does not count.
 */
export function isUnavailable(error: unknown): boolean {
  if (error instanceof DeadlineExceededError) return false;
  if (!(error instanceof pg.DatabaseError)) return true;
  return error.code !== undefined && UNAVAILABLE_SQLSTATE.test(error.code);
}

/** Whether the statement waited too long for a row or a table that another session has locked. */
export function isLockTimeout(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === '55P03';
}

/** Errors that leave the connection usable: rolled back (40), no lock (55P03), cancelled at a time-out (57014). */
const ENDS_ONLY_THE_STATEMENT = /^(40|55P03|57014)/;

/** Whether the connection can run the next statement after this error. */
export function isConnectionUsable(error: unknown): boolean {
  if (error instanceof NotReplicatedError) return true;
  if (isStaleStatement(error)) return false;
  if (!isUnavailable(error)) return true;
  return error instanceof pg.DatabaseError && ENDS_ONLY_THE_STATEMENT.test(error.code ?? '');
}

/**
 * Whether a new connection was refused, by Postgres or a pooler: no connection is left, or the password is wrong,
 * for example. Open connections may still serve calls.
 */
export function isRefusal(error: unknown): boolean {
  if (error instanceof PasswordFileError) return true;
  return error instanceof pg.DatabaseError && /^(08|28|3D|53300|57P03)/.test(error.code ?? '');
}

/** Whether Postgres sent this error, so that Postgres itself answers. */
export function isAnswer(error: unknown): boolean {
  return error instanceof pg.DatabaseError;
}

/** Whether the service asked Postgres, and Postgres did not say whether the statement succeeded. */
export function isNoResponse(error: unknown): boolean {
  return !(isAnswer(error) || error instanceof DeadlineExceededError);
}

/** Whether Postgres may still be running the statement after this error. Only for a statement that was sent. */
export function mayStillRun(error: unknown): boolean {
  return isNoResponse(error) && !(error instanceof NotReplicatedError);
}

export function isUniqueViolation(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === '23505';
}

/** Whether the schema lacks a column, because a migration of this release has not run yet. */
export function isUndefinedColumn(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === '42703';
}

/** Whether the schema lacks a table or a column, because a migration of this release has not run yet. */
export function isSchemaBehind(error: unknown): boolean {
  return isUndefinedColumn(error) || (error instanceof pg.DatabaseError && error.code === '42P01');
}

/**
 * Whether the prepared statement of the connection is unusable. Either a migration changed the type of a
 * column (0A000, distinguished from other cases of 0A000 by the routine that raises it), or a pooler
 * discarded the statement (26000). The caller closes the connection, so that a new connection prepares the
 * statement again.
 */
function isStaleStatement(error: unknown): boolean {
  if (!(error instanceof pg.DatabaseError)) return false;
  return error.code === '26000' || (error.code === '0A000' && error.routine === 'RevalidateCachedQuery');
}

// Errors after which a write has not happened. Postgres refused it before it began: 57P03 (starting up, shutting
// down), 53300 (too many connections). Postgres rolled it back: 40001 (serialization) and 40P01 (deadlock). After
// 57P01 (terminated by an administrator) the write is rolled back too. The reason is that a Postgres process ends
// between statements or inside a statement, but never between a commit and its response. 57P02 (another Postgres
// process crashed) is not in this list, because it can occur between a commit and its response.
const DID_NOT_HAPPEN = /^(57P01|57P03|53300|40001|40P01)$/;

/** Errors after which only a read can be repeated: the connection broke, and a write may have happened. */
const BROKEN = /^(08|57P02)/;

/** Whether a second try does no harm and may succeed. @param reads whether the statement writes nothing */
export function isWorthRepeating(error: unknown, reads: boolean): boolean {
  if (error instanceof DeadlineExceededError) return false;
  if (isStaleStatement(error)) return true;
  const { code = '' } = error as { code?: string };
  if (error instanceof pg.DatabaseError) return DID_NOT_HAPPEN.test(code) || (reads && BROKEN.test(code));
  return code === 'ECONNREFUSED' || reads;
}
