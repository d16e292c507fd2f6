import { once } from 'node:events';
import { chown, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { chooseLauncher } from '../../src/dev/postgres/launcher.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { answers } from './server-program.ts';

const START_TIMEOUT_MS = 10_000;
const POLL_MS = 20;

/**
 * Starts nginx with a configuration that an operator would include in its `http` block. Everything that nginx
 * writes goes into a temporary directory.
 *
 * @param files written into that directory
 * @param include returns the included configuration for that directory
 */
export async function startNginx(
  program: string,
  port: number,
  files: Record<string, string>,
  include: (directory: string) => string,
): Promise<AsyncDisposable> {
  await using starting = new AsyncDisposableStack();
  const { path } = starting.use(await temporaryDirectory());
  // Runs nginx as the owner of the directory: started by root, its workers would run as another user. The
  // launcher also ends nginx when this process ends.
  const { owner, launch } = await chooseLauncher(program, path, undefined);
  const all = { ...files, 'include.conf': include(path), 'nginx.conf': configuration(path) };
  for (const [name, text] of Object.entries(all)) {
    await writeFile(join(path, name), text, { mode: 0o600 });
    if (owner !== undefined) await chown(join(path, name), owner.uid, owner.gid);
  }
  if (owner !== undefined) await chown(path, owner.uid, owner.gid);
  const child = launch(program, ['-p', path, '-e', 'stderr', '-c', 'nginx.conf'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    signalOnOurDeath: 'SIGTERM',
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
      throw new Error(`nginx did not start: ${errorOutput}`);
  }
  return starting.move();
}

function configuration(directory: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `  ${kind}_temp_path ${directory};`,
  );
  return [
    'daemon off;',
    'pid nginx.pid;',
    'events {}',
    'http {',
    ...temporary,
    '  access_log off;',
    '  include include.conf;',
    '}',
    '',
  ].join('\n');
}
