import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { anyFreePort } from '../../src/dev/postgres/free-port.ts';
import { startProgram } from './start-program.ts';

interface Haproxy extends AsyncDisposable {
  readonly port: number;
}

/** Starts HAProxy with `haproxy.cfg` in front of two Postgres servers on these ports of loopback. */
export async function startHaproxy(program: string, servers: readonly [number, number]): Promise<Haproxy> {
  const port = await anyFreePort();
  const written = await readFile(join(import.meta.dirname, 'haproxy.cfg'), 'utf8');
  const config = written
    .replace('bind :5432', `bind 127.0.0.1:${port}`)
    .replace('db-1.internal:5432', `127.0.0.1:${servers[0]}`)
    .replace('db-2.internal:5432', `127.0.0.1:${servers[1]}`);
  const started = await startProgram(program, port, (directory) => ({
    files: { 'haproxy.cfg': config },
    args: ['-db', '-f', join(directory, 'haproxy.cfg')],
    signalOnOurDeath: 'SIGKILL',
  }));
  return { port, [Symbol.asyncDispose]: () => started[Symbol.asyncDispose]() };
}
