import type pg from 'pg';
import { createDispatcher, type Dispatcher } from '../../src/events/dispatcher.ts';
import { openTransport } from '../../src/events/transports/open-transport.ts';
import type { Delivery, Outcome } from '../../src/events/transports/transport.ts';
import type { EventQueue } from '../../src/files/ports/event-queue.ts';
import { createDatabase } from '../../src/postgres/connection/database.ts';
import { createPool } from '../../src/postgres/connection/pool.ts';
import { createEventQueue } from '../../src/postgres/file-store/event-queue.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { createDatabase as createTestDatabase, openPool } from '../harness/database.ts';

/** A dispatcher of one instance, and what it reported. */
interface ObservedDispatcher extends AsyncDisposable {
  dispatcher: Dispatcher;
  outcomes: Record<Outcome, number>;
  /** The first failure of each outage, and `undefined` for its end. */
  outages: (Delivery | undefined)[];
  errors: unknown[];
  /** The age of the oldest event, as it was reported last. */
  readonly ageSeconds: number;
  /** The most statements of this dispatcher that ran at the same time. */
  readonly statementsAtOnce: number;
  /** How many statements of each name the dispatcher has sent. */
  statements: Map<string, number>;
}

/** A database with READY files whose events are due, for tests of the dispatcher with the real store. */
export async function openQueuedEvents() {
  const { url, drop } = await createTestDatabase();
  const pool = openPool(url, 2);
  await migrate(pool);

  return {
    pool,
    /** Adds READY files of a user, whose events are due now. The keys are `USER_0`, `USER_1`, … */
    add: (userId: string, count: number, first = 0) => addReadyFiles(pool, userId, count, first),
    /** Number of events that are not acknowledged. */
    async undelivered(): Promise<number> {
      const { rows } = await pool.query('select count(*)::int from files where event_due_at is not null');
      return rows[0].count;
    },
    async rows(): Promise<{ s3_key: string; event_attempts: number; due_in: number | null }[]> {
      const { rows } = await pool.query(
        `select s3_key, event_attempts, extract(epoch from event_due_at - now())::float as due_in
         from files order by s3_key`,
      );
      return rows;
    },
    /** Makes the pauses shorter that are not over. No event becomes due in the past, where no search begins. */
    async passTime(seconds: number): Promise<void> {
      await pool.query(
        `update files set event_due_at = greatest(now(), event_due_at - $1 * interval '1 s')
         where event_due_at > now()`,
        [seconds],
      );
    },
    /** Makes time pass faster for the events, until it is disposed of. */
    hurry(seconds: number): Disposable {
      const timer = setInterval(() => void this.passTime(seconds).catch(() => undefined), 1_000);
      return { [Symbol.dispose]: () => clearInterval(timer) };
    },
    /** @param change puts faults into the queue that the dispatcher sees */
    start: (consumer: URL, token?: string, change?: (queue: EventQueue) => EventQueue) =>
      startDispatcher(url, consumer, token, change),
    async [Symbol.asyncDispose](): Promise<void> {
      await pool.end();
      await drop();
    },
  };
}

async function addReadyFiles(pool: pg.Pool, userId: string, count: number, first: number): Promise<void> {
  await pool.query(
    `insert into files (user_id, s3_key, state, filename, mime_type, fingerprint, size, etag, last_modified,
       verified_at, url_expire_at, revision, event_due_at)
     select $1, $1 || '_' || n, 'ready', 'file ' || n, 'text/plain', decode(md5($1 || n), 'hex'), 5, md5($1 || n),
       now(), now(), now(), (extract(epoch from clock_timestamp()) * 1000000)::bigint + n, now()
     from generate_series($2::int, $2::int + $3::int - 1) as n`,
    [userId, first, count],
  );
}

async function startDispatcher(
  databaseUrl: string,
  consumer: URL,
  token: string | undefined,
  change: (queue: EventQueue) => EventQueue = (queue) => queue,
): Promise<ObservedDispatcher> {
  const pool = createPool({
    urls: [databaseUrl],
    maxConnections: 10,
    connectTimeoutMs: 2_000,
    statementTimeoutMs: 2_500,
    onIdleError: () => undefined,
  });
  const statements = new Map<string, number>();
  let running = 0;
  let statementsAtOnce = 0;
  const database = createDatabase(pool, async (name, run) => {
    statements.set(name, (statements.get(name) ?? 0) + 1);
    statementsAtOnce = Math.max(statementsAtOnce, ++running);
    return run().finally(() => running--);
  });
  const outcomes = { delivered: 0, refused: 0, unanswered: 0, unreachable: 0 };
  const outages: (Delivery | undefined)[] = [];
  const errors: unknown[] = [];
  let ageSeconds = Number.NaN;
  const dispatcher = createDispatcher({
    events: change(createEventQueue(database)),
    transport: openTransport({ url: consumer, token }),
    onOutcome: (outcome) => outcomes[outcome]++,
    onOldest: (seconds) => {
      ageSeconds = seconds;
    },
    onOutage: (failure) => outages.push(failure),
    onError: (error) => errors.push(error),
  });
  dispatcher.start();
  return {
    dispatcher,
    outcomes,
    outages,
    errors,
    statements,
    get ageSeconds() {
      return ageSeconds;
    },
    get statementsAtOnce() {
      return statementsAtOnce;
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await dispatcher.stop();
      await pool.end();
    },
  };
}
