/**
 * Reports to the circuit breakers what the end of a statement says about Postgres. After a few failures in a row a
 * circuit breaker opens, and statements then fail at once instead of waiting for their time-out.
 */
import type { Breakers } from '../../overload/circuit-breaker.ts';
import type { Prepared } from '../statements/prepared.ts';
import { isAnswer, isNoResponse } from './error-classes.ts';

type AnyStatement = Prepared<never, unknown>;

/** @throws Error when the circuit breaker for this kind of statement (read or write) is open */
export function assertSendable(breakers: Breakers, statement: AnyStatement): void {
  if (!breakerFor(breakers, statement).open) return;
  const kind = statement.reads ? 'reads' : 'writes';
  throw new Error(`the statement was not sent, because Postgres did not answer the last ${kind}`);
}

/**
 * Reports a statement that succeeded. A write that changed no row is not reported, because Postgres answers such a
 * write even while each commit hangs.
 */
export function reportRows(breakers: Breakers, statement: AnyStatement, rows: unknown[]): void {
  if (statement.reads || statement.wrote(rows)) breakerFor(breakers, statement).onSuccess();
}

/**
 * Reports a statement that failed. An error that Postgres sent proves that reads work. The error proves nothing about
 * writes, because a failed write has no commit. For example, a write fails with a lock time-out if the commit of
 * another write hangs and keeps the lock.
 *
 * @param waitedLong whether the service waited for at least WAITED_LONG_MS, and longer than for any lock
 */
export function reportError(
  breakers: Breakers,
  statement: AnyStatement,
  error: unknown,
  waitedLong: boolean,
): void {
  const breaker = breakerFor(breakers, statement);
  if (isNoResponse(error) && waitedLong) breaker.onFailure();
  else if (isAnswer(error) && statement.reads) breaker.onSuccess();
}

function breakerFor({ reads, writes }: Breakers, statement: AnyStatement) {
  return statement.reads ? reads : writes;
}
