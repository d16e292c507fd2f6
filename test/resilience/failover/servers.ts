/**
 * Two instances of the service on two Postgres servers of Debian, a primary and its standby. `WAYS` are the ways in
 * which the service finds the primary.
 */
import pg from 'pg';
import { openTestBucket, type TestBucket } from '../../harness/bucket.ts';
import { s3Environment } from '../../harness/s3-environment.ts';
import { createFileClient, type ServiceProcess, startService } from '../../harness/service-process.ts';
import type { FileClient } from '../../harness/upload.ts';
import { startHaproxy } from '../../servers/haproxy.ts';
import { startPgbouncer } from '../../servers/pgbouncer.ts';
import { type PostgresPair, startPostgresPair } from '../../servers/postgres-pair.ts';
import { findServer } from '../../servers/server-program.ts';
import { findStockPostgres } from '../../servers/stock-postgres.ts';

export const WAYS = ['HAProxy', 'a URL with both hosts', 'pgbouncer before HAProxy'] as const;
export type Way = (typeof WAYS)[number];

const programs = {
  postgres: await findStockPostgres(),
  haproxy: await findServer('haproxy'),
  pgbouncer: await findServer('pgbouncer'),
};
const absent = Object.entries(programs).flatMap(([name, path]) => (path === undefined ? [name] : []));

/** Why the tests of failovers cannot run here; undefined if they can. */
export const missing =
  absent.length === 0
    ? undefined
    : `not installed: ${absent.join(', ')} (Debian: apt-get install postgresql-15 haproxy pgbouncer)`;

export interface FailoverServers extends AsyncDisposable {
  readonly pair: PostgresPair;
  readonly bucket: TestBucket;
  readonly services: readonly [ServiceProcess, ServiceProcess];
  /** The environment of the services, for the commands of an operator. */
  readonly environment: Record<string, string>;
  /** A client whose calls go to the two services in turn. */
  client(userId: string): FileClient;
}

export async function startFailoverServers(way: Way, synchronous: boolean): Promise<FailoverServers> {
  await using starting = new AsyncDisposableStack();
  const pair = starting.use(await startPostgresPair({ programs: programs.postgres ?? '', synchronous }));
  const bucket = await openTestBucket();
  starting.defer(() => bucket.stop());
  const environment = { ...(await find(pair, way, starting)), ...s3Environment(bucket) };
  const start = async () =>
    starting.use(await startService({ environment: { ...environment, MIGRATE_ON_START: 'true' } }));
  const services = [await start(), await start()] as const;
  const started = starting.move();
  return {
    pair,
    bucket,
    services,
    environment,
    client: (userId) => inTurn(services.map(({ http }) => createFileClient(http, { 'x-user-id': userId }))),
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

async function find(
  pair: PostgresPair,
  way: Way,
  resources: AsyncDisposableStack,
): Promise<Record<string, string>> {
  if (way === 'a URL with both hosts') {
    return { DATABASE_URL: `${pair.url(...pair.ports)}?target_session_attrs=read-write` };
  }
  const haproxy = resources.use(await startHaproxy(programs.haproxy ?? '', pair.ports));
  const url = pair.url(haproxy.port);
  await untilItKnowsTheStandby(url);
  if (way === 'HAProxy') return { DATABASE_URL: url };
  const pgbouncer = await startPgbouncer(
    programs.pgbouncer ?? '',
    url,
    'transaction',
    'server_login_retry = 1',
  );
  resources.defer(() => pgbouncer.stop());
  return { DATABASE_URL: pgbouncer.url, DATABASE_POOLER: 'transaction' };
}

/**
 * HAProxy sends connections to both servers in turn, until its first check of the standby. The standby may not have
 * the database yet.
 */
async function untilItKnowsTheStandby(url: string): Promise<void> {
  for (let primary = 0; primary < 4; ) {
    const client = new pg.Client({ connectionString: url });
    // HAProxy closes the connections to the standby.
    client.on('error', () => undefined);
    const isPrimary = await client
      .connect()
      .then(() => client.query('select pg_is_in_recovery() as standby'))
      .then(({ rows }) => rows[0].standby === false)
      .catch(() => false)
      .finally(() => client.end());
    primary = isPrimary ? primary + 1 : 0;
  }
}

function inTurn(clients: readonly FileClient[]): FileClient {
  let turn = 0;
  return new Proxy({} as FileClient, {
    get: (_, method) => Reflect.get(clients[turn++ % clients.length] ?? {}, method),
  });
}
