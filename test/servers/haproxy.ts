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

export interface Haproxy extends AsyncDisposable {
  readonly port: number;
}

/** Starts HAProxy with `haproxy.cfg` in front of two Postgres servers on these ports of loopback. */
export async function startHaproxy(program: string, servers: readonly [number, number]): Promise<Haproxy> {
  await using starting = new AsyncDisposableStack();
  const { path } = starting.use(await temporaryDirectory());
  // Runs HAProxy as the owner of the directory. The launcher also ends HAProxy when this process ends.
  const { owner, launch } = await chooseLauncher(program, path, undefined);
  const port = await anyFreePort();
  const config = join(path, 'haproxy.cfg');
  const written = await readFile(join(import.meta.dirname, 'haproxy.cfg'), 'utf8');
  await writeFile(
    config,
    written
      .replace('bind :5432', `bind 127.0.0.1:${port}`)
      .replace('db-1.internal:5432', `127.0.0.1:${servers[0]}`)
      .replace('db-2.internal:5432', `127.0.0.1:${servers[1]}`),
    { mode: 0o600 },
  );
  if (owner !== undefined) {
    await chown(config, owner.uid, owner.gid);
    await chown(path, owner.uid, owner.gid);
  }
  const child = launch(program, ['-db', '-f', config], {
    stdio: ['ignore', 'ignore', 'pipe'],
    signalOnOurDeath: 'SIGKILL',
  });
  let errorOutput = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    errorOutput += text;
  });
  const exit = once(child, 'exit');
  starting.defer(async () => {
    child.kill('SIGTERM');
    if (child.exitCode === null && child.signalCode === null) await exit;
  });
  for (const deadline = Date.now() + START_TIMEOUT_MS; !(await answers(port)); await sleep(POLL_MS)) {
    if (child.exitCode !== null || Date.now() > deadline)
      throw new Error(`HAProxy did not start: ${errorOutput}`);
  }
  const started = starting.move();
  return { port, [Symbol.asyncDispose]: () => started.disposeAsync() };
}
