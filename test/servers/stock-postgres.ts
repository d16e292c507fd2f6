/** Runs the programs of Debian's own Postgres. */
import { type ChildProcess, execFile } from 'node:child_process';
import { once } from 'node:events';
import { access, constants, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { anyFreePort } from '../../src/dev/postgres/free-port.ts';
import type { Launcher } from '../../src/dev/postgres/launcher.ts';
import { processesOf } from '../harness/processes.ts';

const DEBIAN_DIRECTORY = '/usr/lib/postgresql';

const START_TIMEOUT_MS = 30_000;
const POLL_MS = 20;

/**
 * Returns the directory of the programs of the newest installed Postgres, or of the Postgres that POSTGRES_BIN
 * names. Returns undefined if none is installed.
 */
export async function findStockPostgres(): Promise<string | undefined> {
  const versions = await readdir(DEBIAN_DIRECTORY).catch(() => []);
  const installed = versions
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(DEBIAN_DIRECTORY, version, 'bin'));
  for (const directory of process.env.POSTGRES_BIN ? [process.env.POSTGRES_BIN] : installed) {
    const runs = await access(join(directory, 'postgres'), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (runs) return directory;
  }
  return undefined;
}

/** Runs a program until it ends. @throws when it fails */
export async function runProgram(launcher: Launcher, program: string, args: string[]): Promise<void> {
  const child = launcher.launch(program, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    signalOnOurDeath: 'SIGKILL',
  });
  const [errors, [code, signal]] = await Promise.all([
    child.stderr === null ? '' : text(child.stderr),
    once(child, 'exit'),
  ]);
  if (code !== 0) throw new Error(`${program} failed (${signal ?? code}):\n${errors}`);
}

export interface StockServer extends AsyncDisposable {
  readonly port: number;
  /** Stops every process of the server at once, without closing a connection. */
  freeze(): Promise<void>;
  /** Kills every process of the server at once. */
  kill(): Promise<void>;
}

/** The settings that differ from Debian's: one server is not in the way of another, and the tests are faster. */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  // A killed server leaves its shared memory behind. In files, it goes with the directory.
  dynamic_shared_memory_type: 'mmap',
  // The rows survive the end of every process, and need not survive a crash of the machine.
  fsync: 'off',
};

/** Starts the server of a data directory, and waits until it answers. */
export async function startStockServer(
  { launch }: Launcher,
  programs: string,
  directory: string,
): Promise<StockServer> {
  const port = await anyFreePort();
  const settings = Object.entries({ ...SETTINGS, port }).flatMap(([name, value]) => [
    '-c',
    `${name}=${value}`,
  ]);
  const child = launch(join(programs, 'postgres'), ['-D', directory, ...settings], {
    stdio: ['ignore', 'ignore', 'pipe'],
    signalOnOurDeath: 'SIGQUIT',
  });
  let log = '';
  child.stderr?.setEncoding('utf8').on('data', (lines: string) => {
    log += lines;
  });
  const exit = once(child, 'exit');
  const kill = async () => {
    if (hasEnded(child)) return;
    const memory = await sharedMemoryId(directory);
    await signalAll(child.pid ?? 0, 'SIGKILL');
    await exit;
    await removeSharedMemory(memory);
  };
  const freeze = () => signalAll(child.pid ?? 0, 'SIGSTOP');
  // The disposal uses `kill`, because a frozen server ends by no other signal than SIGKILL.
  const server = { port, freeze, kill, [Symbol.asyncDispose]: kill };
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await isReady(directory))) {
    if (hasEnded(child) || Date.now() > deadline) {
      await kill();
      throw new Error(`Postgres did not start:\n${log}`);
    }
    await sleep(POLL_MS);
  }
  return server;
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/** Signals the postmaster before its children, so that it starts no further child. */
async function signalAll(postmaster: number, signal: NodeJS.Signals): Promise<void> {
  const children = (await processesOf(postmaster)).filter((pid) => pid !== postmaster);
  for (const pid of [postmaster, ...children]) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

/** The lines of the file that the postmaster writes for `pg_ctl`. */
async function postmasterFile(directory: string): Promise<string[]> {
  const file = await readFile(join(directory, 'postmaster.pid'), 'utf8').catch(() => '');
  return file.split('\n').map((line) => line.trim());
}

/** The eighth line of `postmaster.pid` is `ready` when the server answers. A standby writes `ready` too. */
async function isReady(directory: string): Promise<boolean> {
  return (await postmasterFile(directory))[7] === 'ready';
}

/** The seventh line of `postmaster.pid` has the key and the id of a small block of System V shared memory. */
async function sharedMemoryId(directory: string): Promise<string | undefined> {
  return (await postmasterFile(directory))[6]?.split(/\s+/)[1];
}

/** A killed server leaves its block of shared memory behind, and the kernel keeps the block until it is removed. */
async function removeSharedMemory(id: string | undefined): Promise<void> {
  if (id !== undefined) await promisify(execFile)('ipcrm', ['-m', id]).catch(() => undefined);
}
