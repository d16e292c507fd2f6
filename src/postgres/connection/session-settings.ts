/**
 * The settings of Postgres that the service relies on. A database or a role can have other values (`ALTER ROLE … SET`),
 * so each new connection sets them. Behind a pooler in transaction mode, it sets only KEPT_BY_POOLERS.
 *
 * They are sent as a statement and not as parameters of the connection, because pgbouncer and RDS Proxy
 * refuse a connection with parameters that they do not know.
 *
 * The service does not set `search_path`, because an operator chooses the schema of the service with it. The
 * service does not set `default_transaction_read_only`, because with the value `on` a server takes no writes,
 * and `prepareSession` must notice that.
 */
import type pg from 'pg';
import { send } from './send.ts';

/**
 * The pooler between the service and Postgres, if there is one: pgbouncer or RDS Proxy, for example. In session
 * mode, a client has a connection to Postgres for itself. In transaction mode, each statement may run on another
 * connection to Postgres, so a named statement or a setting may be missing when the next statement runs.
 */
export type Pooler = 'none' | 'session' | 'transaction';

/**
 * The settings for the text form of values that are sent and received. Even in transaction mode, pgbouncer keeps these
 * settings for each client, whichever connection runs the next statement.
 */
export const KEPT_BY_POOLERS = {
  DateStyle: 'ISO, YMD',
  // The parser of timestamps in `types.ts` of this folder is fastest for UTC.
  TimeZone: 'UTC',
  standard_conforming_strings: 'on',
};

export const PINNED = {
  ...KEPT_BY_POOLERS,
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  // With a negative value, Postgres would round the sizes and seconds that it returns as float8.
  extra_float_digits: '1',
  // A commit that did not wait for the synchronous standby is announced by a warning (`prepared-query.ts`).
  client_min_messages: 'warning',
  // This level suffices, because each method of the file store (`../file-store/`) is one statement, whose WHERE checks
  // the state of the row. With SERIALIZABLE, Postgres would end some statements with an error when several run at the
  // same time.
  default_transaction_isolation: 'read committed',
  // `0` turns these time-outs off. lock_timeout: without `lockTimeoutMs`, a statement waits for a lock until
  // statement_timeout. idle_in_transaction_session_timeout and transaction_timeout (since version 17): `npm run
  // reconcile` keeps a transaction open while it asks S3. idle_session_timeout: the pool closes its idle connections
  // itself.
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  idle_session_timeout: '0',
  transaction_timeout: '0',
  // Each connection plans a statement once, and uses the plan that test/postgres/plans.test.ts checks. By default,
  // Postgres plans some statements again at each call, although their parameter values do not change the plan.
  plan_cache_mode: 'force_generic_plan',
  // Postgres must read a page of files from the index that has the order of the page, whatever the statistics say.
  // A generic plan that Postgres makes when most users have few files is slow for a user with 20,000 files. With
  // bitmap scans allowed, the plan read and sorted all 20,000 files for one page: 16 ms. With sorts allowed, the plan
  // read them by the primary key: 31 ms. Postgres chose the primary key, because reading by it looks as cheap where
  // the rows of a user lie together.
  enable_bitmapscan: 'off',
  enable_sort: 'off',
  // Before version 18, a sort with `enable_sort = off` has a cost of 10^10, so Postgres would compile such a
  // statement at each run: 270 to 630 ms of CPU.
  jit: 'off',
};

/**
 * Postgres checks this often whether the client of a running statement is still connected, and cancels the statement if
 * it is not. The service closes the connection of a statement that has not ended at the deadline of its call. A
 * connection also closes when this process dies.
 */
const CLIENT_CHECK_MS = 250;

const checkClient = { text: `set client_connection_check_interval = ${CLIENT_CHECK_MS}`, values: [] };

interface SessionOptions {
  /** Default: `none`. */
  pooler?: Pooler | undefined;
  statementTimeoutMs: number;
  /** Default: a statement waits for a lock until `statementTimeoutMs`. */
  lockTimeoutMs?: number | undefined;
  connectTimeoutMs: number;
  /** Whether the connection is of no use if the server takes no writes. Default: `false`. */
  mustBeWritable?: boolean | undefined;
}

/** The error for a server that takes no writes: a standby, or a primary that is being replaced. */
export class ReadOnlyServerError extends Error {
  override readonly name = 'ReadOnlyServerError';
}

/** @throws ReadOnlyServerError, or another error if the connection must not be used */
export async function prepareSession(client: pg.ClientBase, options: SessionOptions): Promise<void> {
  const { pooler = 'none', connectTimeoutMs, mustBeWritable = false } = options;
  const { statementTimeoutMs, lockTimeoutMs = 0 } = options;
  const limits = { statement_timeout: `${statementTimeoutMs}`, lock_timeout: `${lockTimeoutMs}` };
  const keepsAll = pooler !== 'transaction';
  const settings = keepsAll ? { ...PINNED, ...limits } : KEPT_BY_POOLERS;
  const [state] = (await send(client, settingAll(settings), connectTimeoutMs)) as [SessionState];
  assertPooler(client, pooler, state);
  if (mustBeWritable && state.read_only === 'on') {
    throw new ReadOnlyServerError('the server takes no writes: it is a standby, or read-only');
  }
  // At the deadline the service closes the connection. Without client_connection_check_interval, Postgres notices the
  // closed connection only when it sends the answer. A server that does not support the setting (on Windows) refuses
  // it, and runs the statement until statement_timeout.
  if (keepsAll) await send(client, checkClient, connectTimeoutMs).catch(() => undefined);
}

interface SessionState {
  pid: number;
  isolation: string;
  read_only: string;
}

/**
 * A pooler in transaction mode would mix the named statements of all its clients, also those of two releases.
 * So the service refuses a pooler that it was not told about.
 */
function assertPooler(client: pg.ClientBase, pooler: Pooler, { pid, isolation }: SessionState): void {
  // At the connect, Postgres sends the id of the process that serves the client. A pooler sends a number of its own,
  // which differs from the id that `pg_backend_pid()` returns.
  const { processID } = client as unknown as { processID: number };
  if (pooler === 'none' && processID !== pid) {
    throw new Error(
      'a pooler is between the service and Postgres: set DATABASE_POOLER to the mode of the pooler, session or transaction',
    );
  }
  if (pooler === 'transaction' && isolation !== 'read committed') {
    throw new Error(
      `default_transaction_isolation is ${isolation}, which the service cannot change behind a pooler in transaction ` +
        "mode: ALTER ROLE … SET default_transaction_isolation = 'read committed'",
    );
  }
}

/** Returns the statement that sets the settings, except those that this version of Postgres does not know. */
function settingAll(settings: Record<string, string>) {
  const rows = Object.entries(settings).map(([name, value]) => `('${name}', '${value}')`);
  const text = `select set_config(name, value, false), pg_backend_pid() as pid,
      current_setting('default_transaction_isolation') as isolation,
      current_setting('transaction_read_only') as read_only
    from (values ${rows.join(', ')}) as settings (name, value)
    where current_setting(name, true) is not null`;
  return { text, values: [] };
}
