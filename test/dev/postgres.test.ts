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

const PROGRAM = join(import.meta.dirname, 'start-postgres.ts');
const isRoot = process.geteuid?.() === 0;
/** These rows need not survive a crash of the machine, only one of a process. */
const QUICK = { fsync: 'off' };

let directory: string;
/** What a test leaves running is stopped after it. A postmaster that outlives that fails the test. */
const running: EmbeddedPostgres[] = [];
const children: ChildProcess[] = [];
const pids: number[] = [];

async function temporaryDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'embedded-postgres-')); // mode 700: as root, out of reach for Postgres's user
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

/** The same in a process of its own, in a process group of its own, which holds the lock as the service does. */
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
  died.catch(() => {}); // it may end later, when it is meant to
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
  // Elsewhere the kernel does not do it; on Linux "kill -9 of the service takes Postgres with it" must have held.
  if (process.platform !== 'linux') for (const pid of pids.filter(isAlive)) process.kill(pid, 'SIGINT');
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

  test('gets a database that sorts by bytes and knows every letter, and a password only its owner can read', async () => {
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

  test('after kill -9 in the middle of initdb there is no half database', async () => {
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

  test('a start that died before it made the database is completed', async () => {
    const first = await start();
    const server = first.url.replace('/files?', '/postgres?');
    await query(server, 'drop database files');
    await first.stop();
    const { url } = await start();
    expect(await query(url, 'select current_database()')).toEqual([['files']]);
  });

  test.runIf(isRoot)('root’s Postgres reaches binaries that only root can reach', async () => {
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

  test('a restart keeps rows, port and password', async () => {
    const first = await start();
    await first.stop();
    const second = await start();
    expect(second.url).toBe(first.url);
    await expectRows(second.url);
  });

  test('stop leaves no process, and may be called again', async () => {
    const postgres = await start();
    await Promise.all([postgres.stop(), postgres.stop()]);
    expect(isAlive(postgres.pid)).toBe(false);
    await postgres.stop();
  });

  test('after kill -9 of the service, what was committed is there, on the same address', async () => {
    const service = startElsewhere();
    const { url } = await addressOf(service);
    await query(url, `insert into kept values ('killed run')`);
    await kill(service);
    const again = await start();
    expect(again.url).toBe(url);
    expect(await query(again.url, 'select word from kept')).toContainEqual(['killed run']);
  });

  test.runIf(process.platform === 'linux')('kill -9 of the service takes Postgres with it', async () => {
    const service = startElsewhere();
    const { pid } = await addressOf(service);
    await kill(service);
    await untilGone(pid);
  });

  test('a postmaster that was left behind is stopped, not joined and not fought', async () => {
    const log = vi.fn<(line: string) => void>();
    const leftBehind = await start({ log });
    const { pid, url } = await start();
    expect(pid).not.toBe(leftBehind.pid);
    expect(isAlive(leftBehind.pid)).toBe(false);
    await expectRows(url);
  });

  test('kill -9 of the postmaster, with a backend that works on without it', async () => {
    const postgres = await start();
    const client = new pg.Client({ connectionString: postgres.url });
    client.on('error', () => {}); // the connection is cut
    await client.connect();
    const endless = client.query('select count(*) from generate_series(1, 1e15)').catch(() => {});
    await vi.waitFor(async () =>
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

  test('a stale postmaster.pid whose pid now belongs to another process of that user', async () => {
    const { uid, gid } = await stat(dataDirectoryIn(directory));
    const innocent = spawn('sleep', ['60'], isRoot ? { uid, gid, cwd: '/' } : {});
    children.push(innocent);
    await once(innocent, 'spawn');
    const lines = [innocent.pid, dataDirectoryIn(directory), 1, 1, '', '127.0.0.1', '', 'ready', ''];
    await writeFile(join(dataDirectoryIn(directory), 'postmaster.pid'), lines.join('\n'));
    await expectRows((await start()).url);
    expect(innocent.exitCode ?? innocent.signalCode).toBeNull();
  });

  test('a second service is refused, and the first one’s Postgres unharmed', async () => {
    const service = startElsewhere();
    const { url, pid } = await addressOf(service);
    expect(() => lockDataDirectory(directory)).toThrow(
      `in use by another running service (pid ${service.pid})`,
    );
    await expectRows(url);
    expect(isAlive(pid)).toBe(true);
  });

  test('Ctrl-C, which a terminal sends to the whole process group, does not end it before the service does', async () => {
    const service = startElsewhere();
    const { url, pid } = await addressOf(service);
    process.kill(-Number(service.pid), 'SIGINT');
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(isAlive(pid)).toBe(true);
    await expectRows(url);
  });

  test('leaves the signals of the process alone', async () => {
    // In a fresh process: handlers that an import brings would already be there in this one.
    const { signalHandlers } = await addressOf(startElsewhere());
    expect(signalHandlers).toEqual({ SIGTERM: 0, SIGHUP: 0 });
  });

  test('when Postgres dies by itself, the process lives and is told', async () => {
    const log = vi.fn<(line: string) => void>();
    const postgres = await start({ log });
    process.kill(postgres.pid, 'SIGKILL');
    await vi.waitFor(() =>
      expect(log).toHaveBeenCalledWith('The embedded Postgres ended by itself (SIGKILL).'),
    );
    await postgres.stop();
  });

  test('a stop is not reported as a death', async () => {
    const log = vi.fn<(line: string) => void>();
    await (await start({ log })).stop();
    expect(log).not.toHaveBeenCalled();
  });

  test('when the remembered port is taken, it moves to another', async () => {
    const first = await start();
    await first.stop();
    const stranger = await occupy(Number(new URL(first.url).port));
    const { url } = await start();
    expect(new URL(url).port).not.toBe(new URL(first.url).port);
    await expectRows(url);
    stranger.close();
  });

  test('a port that was asked for and is taken is named', async () => {
    const stranger = await occupy(0);
    const address = stranger.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    await expect(start({ port })).rejects.toThrow(`port ${port} of 127.0.0.1 is taken`);
    stranger.close();
  });

  test('a start that fails says why, in Postgres’s own words, and leaves no process', async () => {
    await expect(start({ settings: { shared_buffers: 'plenty' } })).rejects.toThrow(
      /did not start.*invalid value for parameter "shared_buffers": "plenty"/s,
    );
    await expect(stat(join(dataDirectoryIn(directory), 'postmaster.pid'))).rejects.toThrow('ENOENT');
  });
});
