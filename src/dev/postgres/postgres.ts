import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { printableLines } from '../data-directory/printable.ts';
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
  /** Everything of this Postgres is kept here: data, password, port, log. Made when missing. */
  readonly directory: string;
  /** Default: any free port, remembered in the directory and taken again while it is free. */
  readonly port?: number;
  /** Gets a line when Postgres ends though nobody stopped it. */
  readonly log?: (line: string) => void;
  /** Postgres settings that override the ones below. `fsync: 'off'` also makes the first start quicker. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface EmbeddedPostgres {
  /** Of the database `files`, as the superuser: it may create other databases too. */
  readonly url: string;
  readonly pid: number;
  /** Rolls back what is under way, writes a checkpoint, resolves when the process is gone. May be called repeatedly. */
  readonly stop: () => Promise<void>;
}

const DATABASE = 'files';

/** Crash recovery comes before "ready", and on a slow disk it takes its time. Too short: a healthy start is killed. */
const START_TIMEOUT_MS = 60_000;
const READY_POLL_MS = 10;
/** How often a port that was free a moment ago may turn out to be taken before that is an error. */
const PORT_ATTEMPTS = 3;
const LOG_LINES_IN_ERROR = 20;

/**
 * What suits one developer's machine. fsync and synchronous_commit stay on: the promise is that a file which was
 * listed is there after a crash, of this machine too.
 */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  // A socket's path must be shorter than 108 bytes, which a deep clone does not give.
  unix_socket_directories: '',
  // Everything stays in the directory: /dev/shm is 64 MB in a container, and after a SIGKILL its files stay for good.
  dynamic_shared_memory_type: 'mmap',
  // Enough for a few service instances and a psql; 32 MB of cache and the kernel's own serve a development data set.
  max_connections: '100',
  shared_buffers: '32MB',
  huge_pages: 'off',
  // Processes that would idle here: three I/O workers and the launcher of logical replication.
  io_method: 'sync',
  max_logical_replication_workers: '0',
  // No replica will ever follow, so the log need not carry what one would need, nor grow to its default of 1 GB.
  wal_level: 'minimal',
  max_wal_senders: '0',
  max_wal_size: '256MB',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_line_prefix: '%m [%p] ',
};

/**
 * Starts the Postgres of this directory, and makes it first where there is none. What an earlier run left there,
 * a postmaster without its service or a half-made cluster, is cleared away; so the caller must hold the directory's
 * lock (`lockDataDirectory`), or it would be the Postgres of a living service.
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

/** A running postmaster. `ended` resolves, and never rejects, when there is none any more. */
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
  // To a file, not a pipe: the pipe of a dead parent would block or end the server that outlives it.
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
 * By the file that postmaster writes for pg_ctl, and not by trying to connect: the file names the process, so another
 * server that holds the port is not taken for ours.
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

async function openDatabase(cluster: Cluster, port: number): Promise<string> {
  // Without sslmode, pg would go by the PGSSLMODE of whoever started the service.
  const urlOf = (database: string) =>
    `postgres://${POSTGRES_USER}:${cluster.password}@127.0.0.1:${port}/${database}?sslmode=disable`;
  const exists = 'select 1 from pg_database where datname = $1';
  const client = new pg.Client({ connectionString: urlOf('postgres') });
  await client.connect();
  try {
    // Asked at every start: the last one may have died between initdb and here.
    const { rowCount } = await client.query(exists, [DATABASE]);
    if (rowCount === 0) await client.query(`create database ${DATABASE}`);
  } finally {
    await client.end();
  }
  return urlOf(DATABASE);
}

function supervise(server: Server, url: string, log: (line: string) => void): EmbeddedPostgres {
  const { child, ended } = server;
  const { pid } = child;
  if (pid === undefined) throw new Error('a server that is ready has a pid');
  let stopping: Promise<void> | undefined;
  // Where the kernel does not tell Postgres of our death, at least an orderly exit does.
  const endWithProcess = () => {
    child.kill('SIGINT');
  };
  process.once('exit', endWithProcess);
  void ended.then((how) => {
    process.off('exit', endWithProcess);
    if (stopping === undefined) log(`The embedded Postgres ended by itself (${how}).`);
  });
  // A service that fails while it starts must be able to exit; Postgres does not keep it alive.
  child.unref();
  return {
    url,
    pid,
    stop: () => {
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
  const text = readPrivateFile(join(directory, 'port'), PORT_MAX_BYTES) ?? '';
  const remembered = /^[0-9]+$/.test(text) ? Number(text) : 0;
  return remembered > 0 && remembered < 65_536 && (await isPortFree(remembered)) ? remembered : anyFreePort();
}

const PORT_MAX_BYTES = 5;

/** The log of the run before is kept beside it, for whoever wonders why that one ended. */
async function freshLog(directory: string): Promise<string> {
  const log = join(directory, 'postgres.log');
  await rename(log, join(directory, 'postgres.previous.log')).catch(() => rm(log, { force: true }));
  return log;
}

/** Any user of the machine can write into the log, by the user name of a connection that Postgres then refuses. */
async function lastLogLines(directory: string): Promise<string> {
  const log = await readFile(join(directory, 'postgres.log'), 'utf8').catch(() => '');
  return printableLines(log.trimEnd().split('\n').slice(-LOG_LINES_IN_ERROR).join('\n'));
}
