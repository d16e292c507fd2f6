import pg from 'pg';
import { createFairTurns } from '../fair-turns.ts';
import { type Deadline, DeadlineSpent, timeLeft } from '../files/deadline.ts';
import { FileError } from '../files/file-error.ts';
import type { Observe } from '../files/ports.ts';
import type { Prepared } from './prepared.ts';

/** Runs prepared statements on any free connection of a pool. */
export interface Database {
  /**
   * @throws FileError DATABASE_UNAVAILABLE when there is no answer by the deadline
   * @throws DeadlineSpent when it has passed already: nothing is asked
   * @throws anything else, which is a fault of ours
   */
  run<Params, Row>(statement: Prepared<Params, Row>, params: Params, deadline: Deadline): Promise<Row[]>;
}

/**
 * What stands between the service and Postgres. `transaction`: a pooler, such as
 * pgbouncer in transaction mode, which gives each statement any connection. So
 * nothing can be kept on one: neither a named statement nor a setting.
 */
export type Pooler = 'none' | 'transaction';

export interface PoolOptions {
  url: string;
  /** Default: `none`. */
  pooler?: Pooler;
  /** Connections of this instance. */
  maxConnections: number;
  /** A call waits no longer than this for a connection. */
  connectTimeoutMs: number;
  /**
   * Postgres ends a statement after this; a little later so does the client. With
   * a pooler the client alone does, unless the role has a statement_timeout.
   */
  statementTimeoutMs: number;
  /** An idle connection broke; the pool replaces it. */
  onIdleError: (error: Error) => void;
}

/** How much longer than Postgres the client waits for an answer: Postgres may be frozen, or the network gone. */
const ANSWER_GRACE_MS = 500;

/** How soon Postgres notices that nobody waits for a statement any more: the deadline's end, or ours. */
const CLIENT_CHECK_MS = 250;

/**
 * How much of its time a statement may wait for its turn. When more is asked than
 * Postgres can do, lines grow until the first in line has waited as long as it
 * may; if that were all of its time, nothing that gets a turn would be answered
 * in time any more (seen: a tenth of the answers at twice the load).
 */
const WAIT_SHARE = 2 / 3;

const RETRY_AFTER_MS = 1_000;

export function createPool(options: PoolOptions): pg.Pool {
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.maxConnections,
    connectionTimeoutMillis: options.connectTimeoutMs,
    // pgbouncer refuses a connection that asks for settings which it does not know.
    ...(options.pooler !== 'transaction' && {
      statement_timeout: options.statementTimeoutMs,
      // Planned once per connection, and the plans are those that plans.test.ts looks at. Left
      // to itself, Postgres plans some anew at each call, by values that change nothing.
      // Without bitmaps, pages come from their index whatever the statistics say: where most
      // users have few files, a kept plan read and sorted all 20,000 of one who has them, 16 ms.
      options: '-c plan_cache_mode=force_generic_plan -c enable_bitmapscan=off',
      // A client that gives up closes its connection, and Postgres would not look before it
      // answers. A server that cannot look (on Windows) goes on until the statement's time is out.
      onConnect: (client: pg.ClientBase) =>
        client.query(`set client_connection_check_interval = ${CLIENT_CHECK_MS}`).catch(() => undefined),
    }),
    query_timeout: options.statementTimeoutMs + ANSWER_GRACE_MS,
    application_name: 'file-service',
    keepAlive: true,
  });
  // Without a listener, the loss of a connection ends the process: of an idle one,
  // and of one in use, whose statement fails and tells it.
  pool.on('error', options.onIdleError);
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

/** Where no connection is free, users take turns: one whose statements queue up is not felt by the others. */
export function createDatabase(
  pool: pg.Pool,
  observe: Observe,
  pooler: Pooler = 'none',
): Database & {
  /** Statements that wait for their turn. */
  readonly waiting: number;
} {
  const turns = createFairTurns(pool.options.max);
  const waitMaxMs = pool.options.connectionTimeoutMillis ?? Number.POSITIVE_INFINITY;
  return {
    get waiting() {
      return turns.waiting;
    },

    async run<Params, Row>(
      statement: Prepared<Params, Row>,
      params: Params,
      deadline: Deadline,
    ): Promise<Row[]> {
      const { name, text } = statement;
      const values = statement.values(params);
      // Without a name Postgres parses and plans it at each call; the text is the same.
      const query = pooler === 'transaction' ? { text, values } : { name, text, values };
      try {
        const waitMs = Math.min(timeLeft(deadline) * WAIT_SHARE, waitMaxMs);
        const result = await observe(name, () =>
          turns.take(userOf(params), Date.now() + waitMs, () => runOn(pool, query, deadline)),
        );
        return result.rows as Row[];
      } catch (error) {
        throw isUnavailable(error) ? unavailable(error) : error;
      }
    },
  };
}

/** Whose turn a statement takes. What is nobody's, such as the sweeper's claim, has turns of its own beside the users'. */
function userOf(params: unknown): string {
  return (params as { userId?: string }).userId ?? '';
}

/** pg's own per-query limit, which its types leave out. */
interface TimedQuery extends pg.QueryConfig {
  query_timeout: number;
}

/** `pool.query` would close the connection after any error, also where Postgres only says that a slot is taken. */
async function runOn(pool: pg.Pool, query: pg.QueryConfig, deadline: Deadline): Promise<pg.QueryResult> {
  const client = await checkOut(pool, deadline);
  let broken = false;
  try {
    const answerTimeoutMs = Math.min(
      timeLeft(deadline),
      pool.options.query_timeout ?? Number.POSITIVE_INFINITY,
    );
    const timed: TimedQuery = { ...query, query_timeout: answerTimeoutMs };
    return await client.query(timed);
  } catch (error) {
    broken = isUnavailable(error);
    throw error;
  } finally {
    client.release(broken);
  }
}

/** A free connection, or a new one. One that comes when the call has given up goes back to the pool. */
async function checkOut(pool: pg.Pool, deadline: Deadline): Promise<pg.PoolClient> {
  const leftMs = timeLeft(deadline);
  const checkedOut = pool.connect();
  // The pool's own limit comes first.
  if (leftMs >= (pool.options.connectionTimeoutMillis ?? Number.POSITIVE_INFINITY)) return checkedOut;
  return new Promise((resolve, reject) => {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      reject(new Error('no connection became free before the deadline'));
    }, leftMs);
    checkedOut.then(
      (client) => {
        clearTimeout(timer);
        if (late) client.release();
        else resolve(client);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error);
      },
    );
  });
}

function unavailable(cause: unknown): FileError {
  return new FileError('DATABASE_UNAVAILABLE', 'the database does not answer; retry', {
    retryAfterMs: RETRY_AFTER_MS,
    cause,
  });
}

// Classes of SQLSTATE (PostgreSQL, Appendix A) that speak of the server and not
// of the statement: connection, authorisation, no such database, transaction
// rollback (deadlock), resources, operator intervention, system error. And
// 25006: the server is read-only, as after a failover.
const UNAVAILABLE_SQLSTATE = /^(08|28|3D|40|53|57|58)|^25006$/;

/** What is no answer of Postgres at all is a broken or missing connection, or a time-out of the client. */
function isUnavailable(error: unknown): boolean {
  if (error instanceof DeadlineSpent) return false;
  if (!(error instanceof pg.DatabaseError)) return true;
  return error.code !== undefined && UNAVAILABLE_SQLSTATE.test(error.code);
}

export function isUniqueViolation(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === '23505';
}
