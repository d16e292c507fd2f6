/** Runs one statement on any connection of a pool: time-outs, the retry, and what becomes of the connection. */
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { type Deadline, timeLeft } from '../../files/deadline.ts';
import { type Breakers, WAITED_LONG_MS } from '../../overload/circuit-breaker.ts';
import { createRetryBudget } from '../../overload/retry-budget.ts';
import type { Prepared } from '../statements/prepared.ts';
import { cancelStatement } from './cancel-statement.ts';
import { checkOut } from './check-out.ts';
import { isConnectionUsable, isNoResponse, isWorthRepeating, mayStillRun } from './error-classes.ts';
import type { Statement } from './prepared-query.ts';
import { send } from './send.ts';
import type { Pooler } from './session-settings.ts';
import { assertSendable, reportError, reportRows } from './statement-breakers.ts';
import type { WireValue } from './types.ts';

/**
 * The client waits for a response this much longer than `statement_timeout`, so that the time-out error of
 * Postgres itself arrives first. The error of a lock time-out is expected within this time, too.
 */
const ANSWER_GRACE_MS = 500;

/**
 * How often one call sends a statement at most: the first try and one retry. More tries would add too much
 * load, because callers can retry as well, and the tries of both multiply.
 */
const TRIES_MAX = 2;

/**
 * The mean pause before a retry. The real pause is random, 0.5 to 1.5 times as long, so that calls whose
 * connections broke together do not retry together.
 */
const RETRY_PAUSE_MS = 50;

export interface RunOptions {
  /**
   * The `statementTimeoutMs` of the pool, after which Postgres ends a statement. The client stops waiting
   * shortly after this time, in case Postgres hangs or the network is gone. Default: the client waits until
   * the deadline.
   */
  statementTimeoutMs?: number;
  /** The `lockTimeoutMs` of the pool. Default: no statement waits for a lock. */
  lockTimeoutMs?: number | undefined;
  /** Default: `none`. */
  pooler?: Pooler | undefined;
  /** The circuit breakers of Postgres. Default: breakers that never open. */
  breakers?: Breakers;
}

/**
 * Creates a function that sends a statement. If the error allows a retry, the function sends the statement
 * once more, on any connection of the pool.
 */
export function createRunStatement(
  pool: pg.Pool,
  { statementTimeoutMs, lockTimeoutMs = 0, pooler, breakers }: Required<RunOptions>,
) {
  const answerMaxMs = statementTimeoutMs + ANSWER_GRACE_MS;
  // A write that was given up earlier may have waited for a row that another session has locked. This is no sign that
  // Postgres hangs. A few deletes of such a row, with short deadlines, would otherwise stop the writes of all users.
  const lockWaitMaxMs = lockTimeoutMs > 0 ? lockTimeoutMs + ANSWER_GRACE_MS : 0;
  const budget = createRetryBudget();

  return async (
    statement: Prepared<never, unknown>,
    values: WireValue[],
    deadline: Deadline,
  ): Promise<unknown[]> => {
    const { name, text, reads } = statement;
    const unnamed = { text, values };
    // With a transaction pooler, the statement has no name. Postgres parses and plans an unnamed statement at
    // each call, so no connection has to keep it.
    let query: Statement = pooler === 'transaction' ? unnamed : { name, text, values };
    for (let tries = 1; ; tries++) {
      assertSendable(breakers, statement);
      const startMs = performance.now();
      let sentMs: number | undefined;
      try {
        const client = await checkOut(pool, deadline);
        sentMs = performance.now();
        const rows = await runOn(client, query, deadline, answerMaxMs);
        reportRows(breakers, statement, rows);
        budget.earn();
        return rows;
      } catch (error) {
        const endMs = performance.now();
        const waitedLong = endMs - startMs >= WAITED_LONG_MS;
        const mayHaveWaitedForLock = !reads && sentMs !== undefined && endMs - sentMs < lockWaitMaxMs;
        reportError(breakers, statement, error, waitedLong && !mayHaveWaitedForLock);

        const pauseMs = RETRY_PAUSE_MS * (0.5 + Math.random());
        // A retry after a long wait without a response would only add load to a server that hangs.
        const hung = isNoResponse(error) && waitedLong;
        const mayRetry = tries < TRIES_MAX && !hung && Date.now() + pauseMs < deadline;
        // If no connection was checked out, nothing was sent. Even a write can then be repeated, because it
        // has not happened.
        if (!mayRetry || !isWorthRepeating(error, reads || sentMs === undefined) || !budget.spend())
          throw error;
        await sleep(pauseMs);
        // The prepared statement that the connection kept may be the cause of the error. The next connection
        // may keep the same prepared statement, so the retry uses none.
        query = unnamed;
      }
    }
  };
}

/**
 * Runs a statement on a connection and releases the connection. `pool.query` is not used, because it closes the
 * connection after every error, even after a unique violation, which leaves the connection usable.
 */
async function runOn(
  client: pg.PoolClient,
  statement: Statement,
  deadline: Deadline,
  answerMaxMs: number,
): Promise<unknown[]> {
  try {
    const rows = await send(client, statement, Math.min(timeLeft(deadline), answerMaxMs));
    client.release();
    return rows;
  } catch (error) {
    if (mayStillRun(error)) void giveUp(client);
    else client.release(!isConnectionUsable(error));
    throw error;
  }
}

/**
 * Cancels the statement and closes its connection. The pool opens no other connection in its place before that, so
 * Postgres has no more connections of this instance than the pool allows, even if each statement hangs.
 */
async function giveUp(client: pg.PoolClient): Promise<void> {
  await cancelStatement(client);
  client.release(true);
}
