/**
 * A primary and its streaming standby, both of Debian's own Postgres with its default settings, on free ports of
 * loopback.
 */

import { chown, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { chooseLauncher } from '../../src/dev/postgres/launcher.ts';
import { type FaultProxy, startFaultProxy } from '../harness/fault-proxy.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { runProgram, type StockServer, startStockServer } from './stock-postgres.ts';

const SUPERUSER = 'postgres';
const ROLE = 'files_service';
const DATABASE = 'files';
const PASSWORD = 'test-password';

/** The first line is for the checks of `haproxy.cfg`. The others are those of Debian, for loopback. */
const CLIENT_AUTHENTICATION = `host postgres health_check 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
host replication all 127.0.0.1/32 scram-sha-256
`;

const STREAMING_TIMEOUT_MS = 10_000;
const POLL_MS = 20;

export interface PostgresPair extends AsyncDisposable {
  /** The ports of the primary and of the standby. */
  readonly ports: readonly [number, number];
  /** The URL of the service's database on these ports of loopback: several hosts if there are several ports. */
  url(...ports: readonly number[]): string;
  /** Everything that the standby receives from the primary passes this proxy. */
  readonly replication: FaultProxy;
  /** Stops every process of the primary at once, as the loss of its network does: no connection is closed. */
  freezePrimary(): Promise<void>;
  /** Kills every process of the primary at once, as the loss of its machine does. */
  killPrimary(): Promise<void>;
  /** Makes a primary of the standby, as a failover manager does. Resolves when the new primary takes writes. */
  promoteStandby(): Promise<void>;
}

interface PostgresPairOptions {
  /** The directory of the programs of Postgres. */
  programs: string;
  /** Whether a commit waits until the standby has it. */
  synchronous: boolean;
}

export async function startPostgresPair({
  programs,
  synchronous,
}: PostgresPairOptions): Promise<PostgresPair> {
  await using starting = new AsyncDisposableStack();
  const { path } = starting.use(await temporaryDirectory());
  const launcher = await chooseLauncher(join(programs, 'postgres'), path, undefined);
  const { owner } = launcher;
  const passwordFile = join(path, 'password');
  await writeFile(passwordFile, PASSWORD);
  if (owner !== undefined) {
    for (const owned of [passwordFile, path]) await chown(owned, owner.uid, owner.gid);
  }
  const directory = { primary: join(path, 'primary'), standby: join(path, 'standby') };

  await runProgram(launcher, join(programs, 'initdb'), [
    `--pgdata=${directory.primary}`,
    `--username=${SUPERUSER}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C.UTF-8',
    '--no-sync',
  ]);
  await writeFile(join(directory.primary, 'pg_hba.conf'), CLIENT_AUTHENTICATION);
  const primary = starting.use(await startStockServer(launcher, programs, directory.primary));
  const replication = starting.use(await startFaultProxy({ port: primary.port }));
  await runProgram(launcher, join(programs, 'pg_basebackup'), [
    `--pgdata=${directory.standby}`,
    `--dbname=${adminUrl(replication.port)}`,
    '--write-recovery-conf',
    '--checkpoint=fast',
    '--no-sync',
  ]);
  const standby = starting.use(await startStockServer(launcher, programs, directory.standby));
  await prepare(primary, synchronous);

  const started = starting.move();
  return {
    ports: [primary.port, standby.port],
    replication,
    url: (...ports) =>
      `postgres://${ROLE}:${PASSWORD}@${ports.map((port) => `127.0.0.1:${port}`).join(',')}/${DATABASE}`,
    freezePrimary: () => primary.freeze(),
    killPrimary: () => primary.kill(),
    promoteStandby: async () => {
      await query(standby.port, 'select pg_promote()');
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

/**
 * Only the primary waits for a standby. A failover manager turns this off on the new primary, which has no standby
 * yet and would wait for ever.
 */
async function prepare({ port }: StockServer, synchronous: boolean): Promise<void> {
  if (synchronous) {
    await query(port, `alter system set synchronous_standby_names = '*'`);
    await query(port, 'select pg_reload_conf()');
  }
  const state = `state = 'streaming' and sync_state = '${synchronous ? 'sync' : 'async'}'`;
  const deadline = Date.now() + STREAMING_TIMEOUT_MS;
  while ((await query(port, `select from pg_stat_replication where ${state}`)).length === 0) {
    if (Date.now() > deadline) throw new Error('the standby does not receive what the primary writes');
    await sleep(POLL_MS);
  }
  await query(port, 'create role health_check login');
  await query(port, `create role ${ROLE} login password '${PASSWORD}'`);
  // Behind a pooler in transaction mode, the time-outs of the role count (src/postgres/README.md).
  for (const [name, value] of Object.entries(TIMEOUTS)) {
    await query(port, `alter role ${ROLE} set ${name} = '${value}'`);
  }
  await query(port, `create database ${DATABASE} owner ${ROLE}`);
}

const TIMEOUTS = {
  statement_timeout: '2500ms',
  lock_timeout: '1s',
  client_connection_check_interval: '250ms',
};

function adminUrl(port: number): string {
  return `postgres://${SUPERUSER}:${PASSWORD}@127.0.0.1:${port}/postgres`;
}

async function query(port: number, statement: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: adminUrl(port) });
  await client.connect();
  try {
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
}
