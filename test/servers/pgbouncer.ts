import { once } from 'node:events';
import { chown, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { anyFreePort } from '../../src/dev/postgres/free-port.ts';
import { chooseLauncher } from '../../src/dev/postgres/launcher.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { answers } from './server-program.ts';

const START_TIMEOUT_MS = 10_000;
const POLL_MS = 20;

/** Fewer than the clients of the tests, so that the clients share connections. */
const SHARED_CONNECTIONS = 3;

export type PoolMode = 'session' | 'transaction';

export interface Pgbouncer {
  /** The URL of the same database through pgbouncer. */
  url: string;
  stop(): Promise<void>;
}

/**
 * Starts a pgbouncer in front of one database, with default settings but for the mode. The default mode is
 * `session`. It accepts any client, because it only listens on loopback and only runs during a test.
 *
 * @param settings lines of the configuration, in addition
 */
export async function startPgbouncer(
  program: string,
  databaseUrl: string,
  mode: PoolMode,
  settings = '',
): Promise<Pgbouncer> {
  const directory = await temporaryDirectory();
  const { path } = directory;
  // pgbouncer refuses to run as root, as Postgres does.
  const launcher = await chooseLauncher(program, path, undefined);
  const port = await anyFreePort();
  const config = join(path, 'pgbouncer.ini');
  await writeFile(config, `${configuration(new URL(databaseUrl), port, path, mode)}${settings}\n`, {
    mode: 0o600,
  });
  if (launcher.owner !== undefined) {
    await chown(config, launcher.owner.uid, launcher.owner.gid);
    await chown(path, launcher.owner.uid, launcher.owner.gid);
  }
  const child = launcher.launch(program, [config], { stdio: 'ignore', signalOnOurDeath: 'SIGKILL' });
  const exit = once(child, 'exit');
  const url = new URL(databaseUrl);
  url.host = `127.0.0.1:${port}`;
  const stop = async () => {
    child.kill('SIGTERM');
    if (child.exitCode === null && child.signalCode === null) await exit;
    await directory[Symbol.asyncDispose]();
  };
  for (const deadline = Date.now() + START_TIMEOUT_MS; !(await answers(port)); await sleep(POLL_MS)) {
    if (child.exitCode === null && Date.now() < deadline) continue;
    const log = await readFile(join(path, 'log'), 'utf8').catch(() => 'pgbouncer wrote no log');
    await stop();
    throw new Error(`pgbouncer did not start:\n${log}`);
  }
  return { url: url.href, stop };
}

function configuration(
  { hostname, port, username, password, pathname }: URL,
  listenPort: number,
  path: string,
  mode: PoolMode,
) {
  const quoted = (text: string) => `'${decodeURIComponent(text).replaceAll("'", "''")}'`;
  // A server that trusts its clients needs no password.
  const login = `user=${quoted(username)}${password === '' ? '' : ` password=${quoted(password)}`}`;
  const sharing = `pool_mode = transaction\ndefault_pool_size = ${SHARED_CONNECTIONS}`;
  return `[databases]
${pathname.slice(1)} = host=${hostname} port=${port || 5432} ${login}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${listenPort}
unix_socket_dir =
auth_type = any
${mode === 'transaction' ? sharing : ''}
logfile = ${join(path, 'log')}
`;
}
