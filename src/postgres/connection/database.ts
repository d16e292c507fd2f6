import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { type Deadline, timeLeft } from '../../files/deadline.ts';
import { FileError } from '../../files/file-error.ts';
import type { ObserveStep } from '../../files/ports.ts';
import { type Breaker, noopBreaker, WAITED_LONG_MS } from '../../overload/circuit-breaker.ts';
import { createFairQueue } from '../../overload/fair-queue.ts';
import { createRetryBudget } from '../../overload/retry-budget.ts';
import type { Prepared } from '../statements/prepared.ts';
import { checkOut } from './check-out.ts';
import { isNoResponse, isStaleStatement, isUnavailable, isWorthRepeating } from './error-classes.ts';
import type { Statement } from './prepared-query.ts';
import { send } from './send.ts';
import type { WireValue } from './types.ts';

/** Runs prepared statements on any free connection of a pool. */
export interface Database {
  /**
   * @throws FileError DATABASE_UNAVAILABLE when there is no answer by the deadline
   * @throws DeadlineExceededError when it has passed already: nothing is asked
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
   * Postgres ends a statement after this; not so behind a pooler, unless the role
   * has a statement_timeout.
   */
  statementTimeoutMs: number;
  /** An idle connection broke; the pool replaces it. */
  onIdleError: (error: Error) => void;
}

/** How much longer than Postgres the client waits for an answer. */
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

/** The first and one more. Whoever calls can repeat too, and each layer that does multiplies. */
const TRIES_MAX = 2;

/** Give or take half: those whose connections broke together do not come back together. */
const RETRY_PAUSE_MS = 50;

export function createPool(options: PoolOptions): pg.Pool {
  const settings = { text: `set client_connection_check_interval = ${CLIENT_CHECK_MS}`, values: [] };
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
      // Nor by the key, to be sorted: where files of a user lie together that looks as cheap, 31 ms.
      // Times come in UTC, which types.ts reads fastest.
      options:
        '-c plan_cache_mode=force_generic_plan -c enable_bitmapscan=off -c enable_sort=off -c timezone=UTC',
      // A client that gives up closes its connection, and Postgres would not look before it
      // answers. A server that cannot look (on Windows) goes on until the statement's time is out.
      onConnect: (client: pg.ClientBase) =>
        send(client, settings, options.connectTimeoutMs).catch(() => undefined),
    }),
    application_name: 'file-service',
    keepAlive: true,
  });
  // Without a listener, the loss of a connection ends the process: of an idle one,
  // and of one in use, whose statement fails and tells it.
  pool.on('error', options.onIdleError);
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

export interface DatabaseOptions {
  /**
   * As the pool was told. A little later the client gives up as well: Postgres may
   * be frozen, or the network gone. Unset: at the deadline.
   */
  statementTimeoutMs?: number;
  /** Default: `none`. */
  pooler?: Pooler;
  /** Default: one that never opens. */
  breaker?: Breaker;
}

/** Where no connection is free, users take turns: one whose statements queue up is not felt by the others. */
export function createDatabase(
  pool: pg.Pool,
  observe: ObserveStep,
  {
    statementTimeoutMs = Number.POSITIVE_INFINITY,
    pooler = 'none',
    breaker = noopBreaker,
  }: DatabaseOptions = {},
): Database & {
  /** Statements that wait for their turn. */
  readonly waiting: number;
} {
  const queue = createFairQueue(pool.options.max);
  const waitMaxMs = pool.options.connectionTimeoutMillis ?? Number.POSITIVE_INFINITY;
  const answerMaxMs = statementTimeoutMs + ANSWER_GRACE_MS;
  const budget = createRetryBudget();

  async function ask(
    { name, text, reads }: Prepared<never, unknown>,
    values: WireValue[],
    deadline: Deadline,
  ) {
    const nameless = { text, values };
    // Without a name Postgres parses and plans it at each call; the text is the same.
    let query: Statement = pooler === 'transaction' ? nameless : { name, text, values };
    for (let tries = 1; ; tries++) {
      if (breaker.open) throw new Error(SILENT);
      const startMs = performance.now();
      try {
        const rows = await runOn(pool, query, deadline, answerMaxMs);
        breaker.onSuccess();
        budget.earn();
        return rows;
      } catch (error) {
        const silent = isNoResponse(error);
        const waitedLong = performance.now() - startMs >= WAITED_LONG_MS;
        if (!silent) breaker.onSuccess();
        else if (waitedLong) breaker.onFailure();

        const pauseMs = RETRY_PAUSE_MS * (0.5 + Math.random());
        // Where nothing came for that long, asking again only adds to it.
        const again = tries < TRIES_MAX && !(silent && waitedLong) && Date.now() + pauseMs < deadline;
        if (!again || !isWorthRepeating(error, reads) || !budget.spend()) throw error;
        await sleep(pauseMs);
        // What a connection keeps may be what failed, and the next may keep the same.
        query = nameless;
      }
    }
  }

  return {
    get waiting() {
      return queue.waiting;
    },

    async run<Params, Row>(
      statement: Prepared<Params, Row>,
      params: Params,
      deadline: Deadline,
    ): Promise<Row[]> {
      const values = statement.values(params);
      try {
        if (breaker.open) throw new Error(SILENT);
        const waitMs = Math.min(timeLeft(deadline) * WAIT_SHARE, waitMaxMs);
        const rows = await observe(statement.name, () =>
          queue.run(userOf(params), Date.now() + waitMs, () => ask(statement, values, deadline)),
        );
        return rows as Row[];
      } catch (error) {
        throw isUnavailable(error) ? unavailable(error) : error;
      }
    },
  };
}

const SILENT = 'Postgres has not answered for a while: it is not asked';

/** Whose turn a statement takes. What is nobody's, such as the sweeper's claim, has turns of its own beside the users'. */
function userOf(params: unknown): string {
  return (params as { userId?: string }).userId ?? '';
}

/** `pool.query` would close the connection after any error, also where Postgres only says that a slot is taken. */
async function runOn(
  pool: pg.Pool,
  statement: Statement,
  deadline: Deadline,
  answerMaxMs: number,
): Promise<unknown[]> {
  const client = await checkOut(pool, deadline);
  let broken = false;
  try {
    return await send(client, statement, Math.min(timeLeft(deadline), answerMaxMs));
  } catch (error) {
    broken = isUnavailable(error) || isStaleStatement(error);
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
