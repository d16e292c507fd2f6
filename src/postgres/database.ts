import pg from 'pg';
import { FileError } from '../files/file-error.ts';
import type { Observe } from '../files/ports.ts';
import type { Prepared } from './prepared.ts';

/** Runs prepared statements on any free connection of a pool. */
export interface Database {
  /** @throws FileError DATABASE_UNAVAILABLE; anything else is a fault of ours */
  run<Params, Row>(statement: Prepared<Params, Row>, params: Params): Promise<Row[]>;
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

export function createDatabase(pool: pg.Pool, observe: Observe, pooler: Pooler = 'none'): Database {
  return {
    async run<Params, Row>(statement: Prepared<Params, Row>, params: Params): Promise<Row[]> {
      const { name, text } = statement;
      const values = statement.values(params);
      // Without a name Postgres parses and plans it at each call; the text is the same.
      const query = pooler === 'transaction' ? { text, values } : { name, text, values };
      try {
        const result = await observe(name, () => runOn(pool, query));
        return result.rows as Row[];
      } catch (error) {
        throw isUnavailable(error) ? unavailable(error) : error;
      }
    },
  };
}

/** `pool.query` would close the connection after any error, also where Postgres only says that a slot is taken. */
async function runOn(pool: pg.Pool, query: pg.QueryConfig): Promise<pg.QueryResult> {
  const client = await pool.connect();
  let broken = false;
  try {
    return await client.query(query);
  } catch (error) {
    broken = isUnavailable(error);
    throw error;
  } finally {
    client.release(broken);
  }
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
  if (!(error instanceof pg.DatabaseError)) return true;
  return error.code !== undefined && UNAVAILABLE_SQLSTATE.test(error.code);
}

export function isUniqueViolation(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === '23505';
}
