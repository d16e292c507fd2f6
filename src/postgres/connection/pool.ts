import type pg from 'pg';
import { type ServerAddress, ServerPool } from './servers.ts';
import { type Pooler, prepareSession } from './session-settings.ts';

/** Where Postgres is, and how the service connects to it. */
export interface DatabaseAddress extends ServerAddress {
  /** Default: `none`. */
  pooler?: Pooler | undefined;
  /** Whether the service can use only a server that accepts writes. Default: `false`. */
  mustBeWritable?: boolean | undefined;
}

export interface PoolOptions extends DatabaseAddress {
  /** The maximum number of connections of this instance. */
  maxConnections: number;
  /** The pool closes a connection after this number of uses. Default: never. */
  usesMax?: number | undefined;
  /** A call waits no longer than this for a connection. */
  connectTimeoutMs: number;
  /**
   * Postgres cancels a statement after this time. Behind a pooler in transaction mode (`session-settings.ts`), Postgres
   * uses the `statement_timeout` of the database role instead, because a connection there cannot keep the setting.
   */
  statementTimeoutMs: number;
  /**
   * A statement waits no longer than this for a row that another session has locked. Behind a pooler in
   * transaction mode, the `lock_timeout` of the database role counts instead. Default: `statementTimeoutMs`.
   */
  lockTimeoutMs?: number | undefined;
  /** Called when an idle connection breaks. The pool replaces the connection. */
  onIdleError: (error: Error) => void;
}

export function createPool(options: PoolOptions): pg.Pool {
  const { urls, maxConnections, usesMax, connectTimeoutMs, onIdleError } = options;
  const session = { ...options, connectTimeoutMs: connectTimeoutMs / urls.length };
  const pool = new ServerPool(
    { ...options, prepare: (client) => prepareSession(client, session) },
    {
      max: maxConnections,
      ...(usesMax !== undefined && { maxUses: usesMax }),
      connectionTimeoutMillis: connectTimeoutMs,
      application_name: 'file-service',
      keepAlive: true,
    },
  );
  // Without an error listener, Node would end the process when an idle connection breaks. `end` returns before its
  // connections are closed, so Postgres, too, can end one of them: on Ctrl-C, the embedded Postgres is stopped then.
  pool.on('error', (error) => {
    if (!pool.ending) onIdleError(error);
  });
  return pool;
}
