import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { lockDataDirectory } from '../../src/dev/data-directory/data-directory-lock.ts';
import { findPostgresBinaries } from '../../src/dev/postgres/binaries.ts';
import { createCluster, dataDirectoryIn } from '../../src/dev/postgres/cluster.ts';
import { chooseLauncher } from '../../src/dev/postgres/launcher.ts';
import {
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
  startPostgres,
} from '../../src/dev/postgres/postgres.ts';
import { canDieWithParent } from '../harness/service-process.ts';
import { waitFor } from '../harness/wait-for.ts';

const PROGRAM = join(import.meta.dirname, 'start-postgres.ts');
const isRoot = process.geteuid?.() === 0;
/** The rows must survive the crash of a process, but not of the machine, so fsync is not needed. */
const QUICK = { fsync: 'off' };

let directory: string;
/**
 * Everything that a test starts. It is stopped after the test, and a postmaster that survives fails the test.
 */
const running: EmbeddedPostgres[] = [];
const children: ChildProcess[] = [];
const pids: number[] = [];

async function temporaryDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'embedded-postgres-')); // mode 700: a Postgres of root cannot enter
}

async function start(options: Partial<EmbeddedPostgresOptions> = {}): Promise<EmbeddedPostgres> {
  const postgres = await startPostgres({ directory, settings: QUICK, ...options });
  running.push(postgres);
  pids.push(postgres.pid);
  return postgres;
}

async function query(url: string, statement: string): Promise<unknown[][]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<unknown[]>({ text: statement, rowMode: 'array' })).rows;
  } finally {
    await client.end();
  }
}

/** Starts Postgres from a separate process and process group, which holds the lock as the service does. */
function startElsewhere(): ChildProcess {
  const child = spawn(process.execPath, [PROGRAM, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  children.push(child);
  return child;
}

interface Address {
  url: string;
  pid: number;
  signalHandlers: Record<string, number>;
}

async function addressOf(child: ChildProcess): Promise<Address> {
  const { stdout } = child;
  if (stdout === null) throw new Error('no pipe');
  const died = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`the service ended (${signal ?? code}) before it was up`);
  });
  died.catch(() => {}); // the test ends the process later
  const [line] = await Promise.race([once(stdout, 'data'), died]);
  const address = JSON.parse(String(line)) as Address;
  pids.push(address.pid);
  return address;
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function untilGone(pid: number): Promise<void> {
  return vi.waitFor(() => expect(isAlive(pid), `process ${pid} is alive`).toBe(false), { timeout: 10_000 });
}

async function occupy(port: number): Promise<Server> {
  const server = createServer((socket) => socket.destroy()).listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

afterEach(async () => {
  for (const child of children.splice(0)) await kill(child);
  // With setpriv the kernel ends Postgres with its parent. Elsewhere the test must do that itself.
  if (!canDieWithParent) for (const pid of pids.filter(isAlive)) process.kill(pid, 'SIGINT');
  for (const postgres of running.splice(0)) await postgres.stop();
  for (const pid of pids.splice(0)) await untilGone(pid);
});

describe('a new directory', () => {
  beforeEach(async () => {
    directory = await temporaryDirectory();
  });
  afterEach(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  test('gets a database that sorts by bytes, and a password that only its owner can read', async () => {
    const { url } = await start({ directory: join(directory, 'made', 'when missing') });
    expect(new URL(url).pathname).toBe('/files');
    expect(await query(url, `select n from unnest(array['ä', 'b', 'B', 'a']) n order by n`)).toEqual([
      ['B'],
      ['a'],
      ['b'],
      ['ä'],
    ]);
    expect(await query(url, `select upper('ä')`)).toEqual([['Ä']]);
    const { mode } = await stat(join(directory, 'made', 'when missing', 'cluster', 'password'));
    expect(mode & 0o777).toBe(0o600);
    const withoutPassword = new URL(url);
    withoutPassword.password = 'guessed';
    await expect(query(withoutPassword.href, 'select 1')).rejects.toMatchObject({ code: '28P01' });
  });

  test('has no half-made cluster after kill -9 in the middle of initdb', async () => {
    const child = startElsewhere();
    await vi.waitFor(
      async () => {
        const unfinished =
          (await readdir(directory)).find((name) => name.includes('unfinished')) ?? 'none yet';
        await stat(join(directory, unfinished, 'data', 'PG_VERSION'));
      },
      { interval: 1, timeout: 10_000 },
    );
    await kill(child);
    expect(await readdir(directory)).not.toContain('cluster');

    const { url } = await start();
    expect(await query(url, 'select 1')).toEqual([[1]]);
    expect((await readdir(directory)).filter((name) => name.startsWith('cluster'))).toEqual(['cluster']);
  });

  test('gets its database at the next start when the first start died before creating it', async () => {
    const first = await start();
    const server = first.url.replace('/files?', '/postgres?');
    await query(server, 'drop database files');
    await first.stop();
    const { url } = await start();
    expect(await query(url, 'select current_database()')).toEqual([['files']]);
  });

  test.runIf(isRoot)('lets the Postgres of root use binaries that only root can reach', async () => {
    const { postgres } = await findPostgresBinaries();
    const copy = join(directory, 'copy');
    await cp(dirname(dirname(postgres)), copy, { recursive: true, verbatimSymlinks: true });
    const home = join(directory, 'home');
    await mkdir(home);
    const launcher = await chooseLauncher(join(copy, 'bin', 'postgres'), home, undefined);
    await createCluster(home, join(copy, 'bin', 'initdb'), launcher, false);
    expect(await readFile(join(dataDirectoryIn(home), 'PG_VERSION'), 'utf8')).toBe('18\n');
  });
});

describe('a directory with a database', () => {
  beforeAll(async () => {
    directory = await temporaryDirectory();
    const { url } = await start();
    await query(url, 'create table kept (word text)');
    await query(url, `insert into kept values ('first run')`);
  });
  afterAll(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  async function expectRows(url: string): Promise<void> {
    expect(await query(url, 'select word from kept')).toContainEqual(['first run']);
  }

  test('keeps rows, port and password over a restart', async () => {
    const first = await start();
    await first.stop();
    const second = await start();
    expect(second.url).toBe(first.url);
    await expectRows(second.url);
  });

  test('has no process after stop, which may be called again', async () => {
    const postgres = await start();
    await Promise.all([postgres.stop(), postgres.stop()]);
    expect(isAlive(postgres.pid)).toBe(false);
    await postgres.stop();
  });

  test('keeps committed rows and its address after kill -9 of the service', async () => {
    const service = startElsewhere();
    const { url } = await addressOf(service);
    await query(url, `insert into kept values ('killed run')`);
    await kill(service);
    const again = await start();
    expect(again.url).toBe(url);
    expect(await query(again.url, 'select word from kept')).toContainEqual(['killed run']);
  });

  test.runIf(canDieWithParent)('has no Postgres after kill -9 of the service', async () => {
    const service = startElsewhere();
    const { pid } = await addressOf(service);
    await kill(service);
    await untilGone(pid);
  });

  test('stops a postmaster that an earlier run left behind', async () => {
    const log = vi.fn<(line: string) => void>();
    const leftBehind = await start({ log });
    const { pid, url } = await start();
    expect(pid).not.toBe(leftBehind.pid);
    expect(isAlive(leftBehind.pid)).toBe(false);
    await expectRows(url);
  });

  test('starts again after kill -9 of a postmaster whose backend goes on working', async () => {
    const postgres = await start();
    const client = new pg.Client({ connectionString: postgres.url });
    client.on('error', () => {}); // the kill breaks the connection
    await client.connect();
    const endless = client.query('select count(*) from generate_series(1, 1e15)').catch(() => {});
    await waitFor(async () =>
      expect(
        await query(
          postgres.url,
          `select 1 from pg_stat_activity where query like '%1e15)' and state = 'active'`,
        ),
      ).toHaveLength(1),
    );
    process.kill(postgres.pid, 'SIGKILL');
    await untilGone(postgres.pid);
    await expectRows((await start()).url);
    await endless;
  });

  test('starts with a stale postmaster.pid whose pid belongs to another process, and spares that process', async () => {
    const { uid, gid } = await stat(dataDirectoryIn(directory));
    const innocent = spawn('sleep', ['60'], isRoot ? { uid, gid, cwd: '/' } : {});
    children.push(innocent);
    await once(innocent, 'spawn');
    const lines = [innocent.pid, dataDirectoryIn(directory), 1, 1, '', '127.0.0.1', '', 'ready', ''];
    await writeFile(join(dataDirectoryIn(directory), 'postmaster.pid'), lines.join('\n'));
    await expectRows((await start()).url);
    expect(innocent.exitCode ?? innocent.signalCode).toBeNull();
  });

  test('refuses a second service, and does not disturb the Postgres of the first', async () => {
    const service = startElsewhere();
    const { url, pid } = await addressOf(service);
    expect(() => lockDataDirectory(directory)).toThrow(
      `in use by another running service (pid ${service.pid})`,
    );
    await expectRows(url);
    expect(isAlive(pid)).toBe(true);
  });

  test('keeps Postgres running after Ctrl-C, which a terminal sends to the whole process group', async () => {
    const service = startElsewhere();
    const { url, pid } = await addressOf(service);
    process.kill(-Number(service.pid), 'SIGINT');
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(isAlive(pid)).toBe(true);
    await expectRows(url);
  });

  test('leaves the signals of the process alone', async () => {
    // In a new process, because this process may already have the handlers of an import.
    const { signalHandlers } = await addressOf(startElsewhere());
    expect(signalHandlers).toEqual({ SIGTERM: 0, SIGHUP: 0 });
  });

  test('logs a Postgres that dies by itself, and the service goes on', async () => {
    const log = vi.fn<(line: string) => void>();
    const postgres = await start({ log });
    process.kill(postgres.pid, 'SIGKILL');
    await waitFor(() => expect(log).toHaveBeenCalledWith('The embedded Postgres ended by itself (SIGKILL).'));
    await postgres.stop();
  });

  test('logs nothing when Postgres ends because of stop', async () => {
    const log = vi.fn<(line: string) => void>();
    await (await start({ log })).stop();
    expect(log).not.toHaveBeenCalled();
  });

  test('takes another port when the remembered port is taken', async () => {
    const first = await start();
    await first.stop();
    const stranger = await occupy(Number(new URL(first.url).port));
    const { url } = await start();
    expect(new URL(url).port).not.toBe(new URL(first.url).port);
    await expectRows(url);
    stranger.close();
  });

  test('names a configured port that is taken', async () => {
    const stranger = await occupy(0);
    const address = stranger.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    await expect(start({ port })).rejects.toThrow(`port ${port} of 127.0.0.1 is taken`);
    stranger.close();
  });

  test('quotes Postgres when its start fails, and leaves no process', async () => {
    await expect(start({ settings: { shared_buffers: 'plenty' } })).rejects.toThrow(
      /did not start.*invalid value for parameter "shared_buffers": "plenty"/s,
    );
    await expect(stat(join(dataDirectoryIn(directory), 'postmaster.pid'))).rejects.toThrow('ENOENT');
  });
});
