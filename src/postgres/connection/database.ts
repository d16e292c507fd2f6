/**
 * `src/postgres/connection` sends statements to Postgres and returns their rows: the pool, checking out and
 * releasing connections, sending, time-outs, cancels, retries, the fair queues, the classes of errors, and how
 * values are encoded.
 *
 * SQL and the columns of the table do not belong here: see `../statements/`. Except for the errors of
 * `src/files/file-error.ts`, which it throws, nothing here knows the meaning of the rows.
 */
import type pg from 'pg';
import type { Work } from '../../files/call.ts';
import { databaseUnavailable, fileLocked } from '../../files/file-error.ts';
import type { ObserveStep } from '../../files/ports/observer.ts';
import { noopBreakers } from '../../overload/circuit-breaker.ts';
import { createFairQueue, type FairQueue, waitEnd } from '../../overload/fair-queue.ts';
import type { Prepared } from '../statements/prepared.ts';
import { isLockTimeout, isUnavailable } from './error-classes.ts';
import { createRunStatement, type RunOptions } from './run-statement.ts';
import { assertSendable } from './statement-breakers.ts';

/** Runs prepared statements on any free connection of a pool. */
export interface Database {
  /**
   * @throws FileError DATABASE_UNAVAILABLE when Postgres does not answer in time, cannot run the statement now, or
   *   waits too long for a lock. A write may have happened, and a failover of Postgres may undo it
   * @throws DeadlineExceededError when the deadline has already passed: nothing is sent
   * @throws any other error when the service itself has a bug
   */
  run<Params, Row>(work: Work, statement: Prepared<Params, Row>, params: Params): Promise<Row[]>;
}

/**
 * While no connection is free, statements wait in a fair queue, which has a queue for each user. A user with
 * many waiting statements therefore does not delay the others.
 */
export function createDatabase(
  pool: pg.Pool,
  observe: ObserveStep,
  options: RunOptions = {},
): Database & {
  /** The number of statements that wait in the fair queue. */
  readonly waiting: number;
} {
  const { statementTimeoutMs = Number.POSITIVE_INFINITY, lockTimeoutMs } = options;
  const { pooler = 'none', breakers = noopBreakers } = options;
  const runStatement = createRunStatement(pool, { statementTimeoutMs, lockTimeoutMs, pooler, breakers });
  const queues = createQueues(pool.options.max);
  const waitMaxMs = pool.options.connectionTimeoutMillis ?? Number.POSITIVE_INFINITY;

  return {
    get waiting() {
      return queues.reads.waiting + queues.writes.waiting;
    },

    async run<Params, Row>(
      { userId, deadline }: Work,
      statement: Prepared<Params, Row>,
      params: Params,
    ): Promise<Row[]> {
      const values = statement.values(params);
      const queue = statement.reads ? queues.reads : queues.writes;
      try {
        assertSendable(breakers, statement);
        const waitUntil = Math.min(waitEnd(deadline), Date.now() + waitMaxMs);
        const rows = await observe(statement.name, () =>
          queue.run(userId, waitUntil, () => runStatement(statement, values, deadline)),
        );
        return rows as Row[];
      } catch (error) {
        if (isLockTimeout(error)) throw fileLocked(error);
        throw isUnavailable(error) ? databaseUnavailable(error) : error;
      }
    },
  };
}

/**
 * The part of the connections that writes may hold. The rest stays for reads, because all writes can hang at the same
 * time. Each hanging write holds its connection until its deadline. The circuit breaker of writes stops further writes,
 * but only after several writes have failed.
 */
const WRITES_SHARE = 0.8;

/**
 * Creates the fair queues. The queue of reads runs as many statements at once as there are connections. A write waits
 * first in the queue of writes, which runs fewer at once, and then in the queue of reads.
 */
function createQueues(connectionsMax: number): Record<'reads' | 'writes', FairQueue> {
  const reads = createFairQueue(connectionsMax);
  const writes = createFairQueue(Math.max(1, Math.floor(connectionsMax * WRITES_SHARE)));
  return {
    reads,
    writes: {
      get waiting() {
        return writes.waiting;
      },
      run: (user, until, run) => writes.run(user, until, () => reads.run(user, until, run)),
    },
  };
}
