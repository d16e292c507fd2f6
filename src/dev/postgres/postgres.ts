/**
 * `src/dev/postgres` is the embedded Postgres: it finds its programs, creates its cluster, starts it on a
 * loopback port, and ends it with the service. `startPostgres` is the entry.
 *
 * Tables, migrations and queries do not belong here: they are in src/postgres/, and know Postgres by a URL. The
 * lock of the data directory and the checks of its owner are in ../data-directory/.
 */
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { printableLines } from '../../text/printable.ts';
import { modeAbovePostgres, privateDirectory } from '../data-directory/private-directory.ts';
import { readPrivateFile, writePrivateFile } from '../data-directory/private-file.ts';
import { findPostgresBinaries } from './binaries.ts';
import {
  type Cluster,
  clusterOwner,
  createCluster,
  dataDirectoryIn,
  openCluster,
  POSTGRES_USER,
} from './cluster.ts';
import { anyFreePort, isPortFree } from './free-port.ts';
import { chooseLauncher, type Launcher } from './launcher.ts';
import { endLeftovers, readPostmasterFile, SHUTDOWN_STEPS } from './leftovers.ts';

export interface EmbeddedPostgresOptions {
  /** Holds the data, password, port and log of this Postgres. Created when missing. */
  readonly directory: string;
  /**
   * Default: any free port. The directory remembers the port, and the next start uses it again if it is free.
   */
  readonly port?: number;
  /** Called with one line when Postgres ends without a call of `stop`. */
  readonly log?: (line: string) => void;
  /** Postgres settings that override `SETTINGS`. `fsync: 'off'` also makes the first start quicker. */
  readonly settings?: Readonly<Record<string, string>>;
}

export type EmbeddedPostgres = ReturnType<typeof supervise>;

const DATABASE = 'files';

/**
 * Postgres becomes ready only after its crash recovery, which takes long on a slow disk. A shorter timeout would
 * end a Postgres that is still recovering.
 */
const START_TIMEOUT_MS = 60_000;
const READY_POLL_MS = 10;
/**
 * Another process can take the free port before Postgres does. `startPostgres` then tries another port, and
 * throws an error after this number of attempts. If the caller chose the port, there is only one attempt.
 */
const PORT_ATTEMPTS = 3;
const LOG_LINES_IN_ERROR = 20;

/**
 * Settings for the machine of one developer. fsync and synchronous_commit stay on, because a file that was
 * listed must still exist after a crash, even after a crash of the machine.
 */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  // No Unix socket: its path must be shorter than 108 bytes, and the data directory can have a longer path.
  unix_socket_directories: '',
  // Shared memory is in files of the data directory. In a container, /dev/shm has only 64 MB. After a SIGKILL,
  // the files of Postgres would stay in /dev/shm for ever.
  dynamic_shared_memory_type: 'mmap',
  // 100 connections are enough for a few service instances and a psql. 32 MB and the page cache of the kernel
  // are enough for a development data set.
  max_connections: '100',
  shared_buffers: '32MB',
  huge_pages: 'off',
  // These two settings save idle processes: three I/O workers and the launcher of logical replication.
  io_method: 'sync',
  max_logical_replication_workers: '0',
  // There is no replica, so the write-ahead log needs no data for a replica. The log must not grow to the
  // default of 1 GB.
  wal_level: 'minimal',
  max_wal_senders: '0',
  max_wal_size: '256MB',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_line_prefix: '%m [%p] ',
};

/**
 * Starts the Postgres of this directory. Creates the cluster first if there is none. Ends a postmaster and
 * removes a half-made cluster that an earlier run left behind. The caller must hold the lock of the directory
 * (`lockDataDirectory`); without the lock, the postmaster could belong to a running service.
 */
export async function startPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const directory = resolve(options.directory);
  const settings = { ...SETTINGS, ...options.settings };
  privateDirectory(directory, modeAbovePostgres());

  const { initdb, postgres } = await findPostgresBinaries();
  const existingOwner = clusterOwner(directory);
  const launcher = await chooseLauncher(postgres, directory, existingOwner);
  if (existingOwner === undefined) {
    await createCluster(directory, initdb, launcher, settings.fsync !== 'off');
  } else {
    await endLeftovers(dataDirectoryIn(directory));
  }
  const cluster = openCluster(directory);

  for (let attempt = 1; ; attempt += 1) {
    const port = options.port ?? (await rememberedOrFreePort(directory));
    const server = await launchServer({ directory, launcher, postgres, cluster, port, settings });
    try {
      await untilReady(server, cluster.dataDirectory);
      const url = await openDatabase(cluster, port);
      writePrivateFile(join(directory, 'port'), String(port));
      return supervise(server, url, options.log ?? (() => {}));
    } catch (error) {
      await endServer(server);
      const portTaken = !(await isPortFree(port));
      if (portTaken && options.port === undefined && attempt < PORT_ATTEMPTS) continue;
      const reason = portTaken ? `port ${port} of 127.0.0.1 is taken` : (error as Error).message;
      throw new Error(`Postgres in ${directory} did not start: ${reason}\n${await lastLogLines(directory)}`, {
        cause: error,
      });
    }
  }
}

/**
 * A running postmaster. `ended` resolves with the exit code or signal when the process has ended, and never
 * rejects.
 */
interface Server {
  readonly child: ChildProcess;
  readonly ended: Promise<string>;
}

async function launchServer(start: {
  directory: string;
  launcher: Launcher;
  postgres: string;
  cluster: Cluster;
  port: number;
  settings: Readonly<Record<string, string>>;
}): Promise<Server> {
  const args = ['-D', start.cluster.dataDirectory, '-p', String(start.port)];
  for (const [name, value] of Object.entries(start.settings)) args.push('-c', `${name}=${value}`);
  // Postgres writes its log to a file and not to a pipe. If this process dies before Postgres, nothing reads the
  // pipe any more, and writing to the pipe would block or end Postgres.
  const log = openSync(await freshLog(start.directory), 'wx', 0o600);
  try {
    const child = start.launcher.launch(start.postgres, args, {
      stdio: ['ignore', log, log],
      signalOnOurDeath: 'SIGINT',
    });
    const ended = new Promise<string>((resolveEnded) => {
      child.once('error', (error) => resolveEnded(error.message));
      child.once('exit', (code, signal) => resolveEnded(signal ?? `exit code ${code}`));
    });
    return { child, ended };
  } finally {
    closeSync(log);
  }
}

/**
 * Polls the file that the postmaster writes for pg_ctl. The file contains the pid of the postmaster, so another
 * server on the same port is not taken for this Postgres. A successful connection would not tell the two apart.
 */
async function untilReady({ child, ended }: Server, dataDirectory: string): Promise<void> {
  let end: string | undefined;
  void ended.then((how) => {
    end = how;
  });
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (end === undefined) {
    const postmaster = readPostmasterFile(dataDirectory);
    if (postmaster?.pid === child.pid && postmaster?.isReady) return;
    if (Date.now() > deadline) throw new Error(`it was not ready after ${START_TIMEOUT_MS} ms`);
    await sleep(READY_POLL_MS);
  }
  throw new Error(`it ended (${end})`);
}

/** The URL of the Postgres that another process has started in this directory. */
export function runningPostgresUrl(directory: string): string {
  return urlOf(openCluster(directory), rememberedPort(directory), DATABASE);
}

function urlOf({ password }: Cluster, port: number, database: string): string {
  // Without `sslmode` in the URL, the package pg would use the environment variable PGSSLMODE.
  return `postgres://${POSTGRES_USER}:${password}@127.0.0.1:${port}/${database}?sslmode=disable`;
}

async function openDatabase(cluster: Cluster, port: number): Promise<string> {
  const exists = 'select 1 from pg_database where datname = $1';
  const client = new pg.Client({ connectionString: urlOf(cluster, port, 'postgres') });
  await client.connect();
  try {
    // Every start checks whether the database exists, because an earlier start can have died after initdb and
    // before `create database`.
    const { rowCount } = await client.query(exists, [DATABASE]);
    if (rowCount === 0) await client.query(`create database ${DATABASE}`);
  } finally {
    await client.end();
  }
  return urlOf(cluster, port, DATABASE);
}

function supervise(server: Server, url: string, log: (line: string) => void) {
  const { child, ended } = server;
  const { pid } = child;
  if (pid === undefined) throw new Error('a server that is ready has a pid');
  let stopping: Promise<void> | undefined;
  // Not every operating system can signal Postgres when this process dies. This handler ends Postgres at least
  // when this process exits in an orderly way.
  const endWithProcess = () => {
    child.kill('SIGINT');
  };
  process.once('exit', endWithProcess);
  void ended.then((how) => {
    process.off('exit', endWithProcess);
    if (stopping === undefined) log(`The embedded Postgres ended by itself (${how}).`);
  });
  // A service that fails during its start must be able to exit, so Postgres must not keep the process alive.
  child.unref();
  return {
    /** The URL of the database `files`, for the superuser, who may create other databases too. */
    url,
    pid,
    /**
     * Rolls back open transactions, writes a checkpoint, and resolves when the process has ended. Idempotent.
     */
    stop: (): Promise<void> => {
      stopping ??= endServer(server);
      return stopping;
    },
  };
}

async function endServer({ child, ended }: Server): Promise<void> {
  child.ref();
  for (const { signal, graceMs } of SHUTDOWN_STEPS) {
    child.kill(signal);
    const timer = new AbortController();
    const gone = await Promise.race([
      ended.then(() => true),
      sleep(graceMs, false, { signal: timer.signal }).catch(() => false),
    ]);
    timer.abort();
    if (gone) return;
  }
  throw new Error(`Postgres (pid ${child.pid}) does not end, not even by SIGKILL.`);
}

async function rememberedOrFreePort(directory: string): Promise<number> {
  const remembered = rememberedPort(directory);
  return remembered > 0 && remembered < 65_536 && (await isPortFree(remembered)) ? remembered : anyFreePort();
}

/** @returns 0 if the directory remembers no port */
function rememberedPort(directory: string): number {
  const text = readPrivateFile(join(directory, 'port'), PORT_MAX_BYTES) ?? '';
  return /^[0-9]+$/.test(text) ? Number(text) : 0;
}

/** The largest port, 65535, has five digits. */
const PORT_MAX_BYTES = 5;

/**
 * Starts a new log. The log of the previous run is kept beside it, because it can explain why that run ended.
 */
async function freshLog(directory: string): Promise<string> {
  const log = join(directory, 'postgres.log');
  await rename(log, join(directory, 'postgres.previous.log')).catch(() => rm(log, { force: true }));
  return log;
}

/**
 * The end of Postgres's log, escaped for a terminal. Every user of the machine can write text into the log:
 * Postgres logs the user name of each connection that it refuses.
 */
async function lastLogLines(directory: string): Promise<string> {
  const log = await readFile(join(directory, 'postgres.log'), 'utf8').catch(() => '');
  return printableLines(log.trimEnd().split('\n').slice(-LOG_LINES_IN_ERROR).join('\n'));
}
