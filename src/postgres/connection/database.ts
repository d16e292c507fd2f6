/**
 * `src/postgres/connection` sends statements to Postgres and returns their rows: the pool, checking out and
 * releasing connections, sending, time-outs, retries, the fair queue, the classes of errors, and how values
 * are encoded.
 *
 * SQL and the columns of the table do not belong here: see `../statements/`. No file of this folder knows
 * about file records.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Work } from '../../files/call.ts';
import { type Deadline, timeLeft } from '../../files/deadline.ts';
import { databaseUnavailable, fileLocked } from '../../files/file-error.ts';
import type { ObserveStep } from '../../files/ports/observer.ts';
import { type Breaker, noopBreaker, WAITED_LONG_MS } from '../../overload/circuit-breaker.ts';
import { createFairQueue, waitEnd } from '../../overload/fair-queue.ts';
import { createRetryBudget } from '../../overload/retry-budget.ts';
import type { Prepared } from '../statements/prepared.ts';
import { checkOut } from './check-out.ts';
import {
  isConnectionUsable,
  isLockTimeout,
  isNoResponse,
  isUnavailable,
  isWorthRepeating,
} from './error-classes.ts';
import type { Statement } from './prepared-query.ts';
import { send } from './send.ts';
import type { Pooler } from './session-settings.ts';
import type { WireValue } from './types.ts';

/** Runs prepared statements on any free connection of a pool. */
export interface Database {
  /**
   * @throws FileError DATABASE_UNAVAILABLE when Postgres does not answer by the deadline
   * @throws DeadlineExceededError when the deadline has already passed: nothing is sent
   * @throws any other error when the service itself has a bug
   */
  run<Params, Row>(work: Work, statement: Prepared<Params, Row>, params: Params): Promise<Row[]>;
}

/**
 * The client waits for a response this much longer than `statement_timeout`, so that the time-out error of
 * Postgres itself arrives first.
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

export interface DatabaseOptions {
  /**
   * The `statementTimeoutMs` of the pool, after which Postgres ends a statement. The client stops waiting
   * shortly after this time, in case Postgres hangs or the network is gone. Default: the client waits until
   * the deadline.
   */
  statementTimeoutMs?: number;
  /** Default: `none`. */
  pooler?: Pooler | undefined;
  /** Default: a breaker that never opens. */
  breaker?: Breaker;
}

/**
 * While no connection is free, statements wait in a fair queue, which has a queue for each user. A user with
 * many waiting statements therefore does not delay the others.
 */
export function createDatabase(
  pool: pg.Pool,
  observe: ObserveStep,
  options: DatabaseOptions = {},
): Database & {
  /** The number of statements that wait in the fair queue. */
  readonly waiting: number;
} {
  const { statementTimeoutMs = Number.POSITIVE_INFINITY, pooler = 'none', breaker = noopBreaker } = options;
  const runWithRetry = createRunWithRetry(pool, { statementTimeoutMs, pooler, breaker });
  const queue = createFairQueue(pool.options.max);
  const waitMaxMs = pool.options.connectionTimeoutMillis ?? Number.POSITIVE_INFINITY;

  return {
    get waiting() {
      return queue.waiting;
    },

    async run<Params, Row>(
      { userId, deadline }: Work,
      statement: Prepared<Params, Row>,
      params: Params,
    ): Promise<Row[]> {
      const values = statement.values(params);
      try {
        if (breaker.open) throw new Error(BREAKER_OPEN);
        const waitUntil = Math.min(waitEnd(deadline), Date.now() + waitMaxMs);
        const rows = await observe(statement.name, () =>
          queue.run(userId, waitUntil, () => runWithRetry(statement, values, deadline)),
        );
        return rows as Row[];
      } catch (error) {
        if (isLockTimeout(error)) throw fileLocked(error);
        throw isUnavailable(error) ? databaseUnavailable(error) : error;
      }
    },
  };
}

const BREAKER_OPEN = 'the statement was not sent, because Postgres did not answer the last calls';

/**
 * Creates a function that sends a statement. If the error allows a retry, the function sends the statement
 * once more, on any connection of the pool.
 */
function createRunWithRetry(
  pool: pg.Pool,
  { statementTimeoutMs, pooler, breaker }: Required<DatabaseOptions>,
) {
  const answerMaxMs = statementTimeoutMs + ANSWER_GRACE_MS;
  const budget = createRetryBudget();

  return async (
    { name, text, reads }: Prepared<never, unknown>,
    values: WireValue[],
    deadline: Deadline,
  ): Promise<unknown[]> => {
    const unnamed = { text, values };
    // With a transaction pooler, the statement has no name. Postgres parses and plans an unnamed statement at
    // each call, so no connection has to keep it.
    let query: Statement = pooler === 'transaction' ? unnamed : { name, text, values };
    for (let tries = 1; ; tries++) {
      if (breaker.open) throw new Error(BREAKER_OPEN);
      const startMs = performance.now();
      let wasSent = false;
      try {
        const client = await checkOut(pool, deadline);
        wasSent = true;
        const rows = await runOn(client, query, deadline, answerMaxMs);
        breaker.onSuccess();
        budget.earn();
        return rows;
      } catch (error) {
        const noResponse = isNoResponse(error);
        const waitedLong = performance.now() - startMs >= WAITED_LONG_MS;
        if (!noResponse) breaker.onSuccess();
        else if (waitedLong) breaker.onFailure();

        const pauseMs = RETRY_PAUSE_MS * (0.5 + Math.random());
        // A retry after a long wait without a response would only add load to a server that hangs.
        const mayRetry = tries < TRIES_MAX && !(noResponse && waitedLong) && Date.now() + pauseMs < deadline;
        // If no connection was checked out, nothing was sent. Even a write can then be repeated, because it
        // has not happened.
        if (!mayRetry || !isWorthRepeating(error, reads || !wasSent) || !budget.spend()) throw error;
        await sleep(pauseMs);
        // The prepared statement that the connection kept may be the cause of the error. The next connection
        // may keep the same prepared statement, so the retry uses none.
        query = unnamed;
      }
    }
  };
}

/**
 * Runs a statement on a connection and releases the connection. `pool.query` is not used, because it closes
 * the connection after every error, even after a unique violation (for example, a pending slot that is taken).
 */
async function runOn(
  client: pg.PoolClient,
  statement: Statement,
  deadline: Deadline,
  answerMaxMs: number,
): Promise<unknown[]> {
  let broken = false;
  try {
    return await send(client, statement, Math.min(timeLeft(deadline), answerMaxMs));
  } catch (error) {
    broken = !isConnectionUsable(error);
    throw error;
  } finally {
    client.release(broken);
  }
}
