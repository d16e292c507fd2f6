import { once } from 'node:events';
import { chown, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { chooseLauncher } from '../../src/dev/postgres/launcher.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { answers } from './server-program.ts';

const START_TIMEOUT_MS = 10_000;
const POLL_MS = 20;

interface Program {
  /** Written into the directory of the program. */
  files: Record<string, string>;
  args: string[];
  signalOnOurDeath: 'SIGTERM' | 'SIGKILL';
}

/**
 * Starts a server that reads its configuration from files, and waits until it listens on this port of loopback. The
 * server runs as the owner of a temporary directory: started by root, its workers would run as another user. The
 * launcher also ends the server when this process ends.
 *
 * @param configure returns what to start, for that directory
 */
export async function startProgram(
  path: string,
  port: number,
  configure: (directory: string) => Program,
): Promise<AsyncDisposableStack> {
  await using starting = new AsyncDisposableStack();
  const { path: directory } = starting.use(await temporaryDirectory());
  const { files, args, signalOnOurDeath } = configure(directory);
  const { owner, launch } = await chooseLauncher(path, directory, undefined);
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(directory, name), text, { mode: 0o600 });
    if (owner !== undefined) await chown(join(directory, name), owner.uid, owner.gid);
  }
  if (owner !== undefined) await chown(directory, owner.uid, owner.gid);
  const child = launch(path, args, { stdio: ['ignore', 'ignore', 'pipe'], signalOnOurDeath });
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
      throw new Error(`${basename(path)} did not start: ${errorOutput}`);
  }
  return starting.move();
}
