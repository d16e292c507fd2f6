import { join } from 'node:path';
import { anyFreePort } from '../../src/dev/postgres/free-port.ts';
import { startProgram } from './start-program.ts';

/** Fewer than the clients of the tests, so that the clients share connections. */
const SHARED_CONNECTIONS = 3;

export type PoolMode = 'session' | 'transaction';

interface Pgbouncer {
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
  const port = await anyFreePort();
  const config = `${configuration(new URL(databaseUrl), port, mode)}${settings}\n`;
  const started = await startProgram(program, port, (directory) => ({
    files: { 'pgbouncer.ini': config },
    args: [join(directory, 'pgbouncer.ini')],
    signalOnOurDeath: 'SIGKILL',
  }));
  const url = new URL(databaseUrl);
  url.host = `127.0.0.1:${port}`;
  return { url: url.href, stop: () => started.disposeAsync() };
}

function configuration(
  { hostname, port, username, password, pathname }: URL,
  listenPort: number,
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
`;
}
