import pg from 'pg';
import { FileError } from '../files/file-error.ts';
import type { Observe } from '../files/ports.ts';
import type { Prepared } from './prepared.ts';

/** Runs prepared statements on any free connection of a pool. */
export interface Database {
  /** @throws FileError DATABASE_UNAVAILABLE; anything else is a fault of ours */
  run<Params, Row>(statement: Prepared<Params, Row>, params: Params): Promise<Row[]>;
}

export interface PoolOptions {
  url: string;
  /** Connections of this instance. */
  maxConnections: number;
  /** A call waits no longer than this for a connection. */
  connectTimeoutMs: number;
  /** Postgres ends a statement after this; then so does the client. */
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
    statement_timeout: options.statementTimeoutMs,
    query_timeout: options.statementTimeoutMs + ANSWER_GRACE_MS,
    application_name: 'file-service',
    keepAlive: true,
  });
  // Without a listener, the loss of an idle connection ends the process.
  pool.on('error', options.onIdleError);
  return pool;
}

export function createDatabase(pool: pg.Pool, observe: Observe): Database {
  return {
    async run<Params, Row>(statement: Prepared<Params, Row>, params: Params): Promise<Row[]> {
      try {
        const { name, text } = statement;
        const values = statement.values(params);
        const result = await observe(name, () => pool.query({ name, text, values }));
        return result.rows as Row[];
      } catch (error) {
        throw isUnavailable(error) ? unavailable(error) : error;
      }
    },
  };
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
