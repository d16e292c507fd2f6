import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryDirectory } from '../../harness/temporary-directory.ts';
import { findServer } from '../server-program.ts';

export interface Rgw extends AsyncDisposable {
  /** The TEST_S3_* variables with which tests find the server. */
  environment: Record<string, string>;
}

/** Starts a Ceph RGW that ends with this process. Returns undefined if it is not installed. */
export async function startRgw(): Promise<Rgw | undefined> {
  if ((await findServer('radosgw')) === undefined) return undefined;
  const directory = await temporaryDirectory();
  const path = join(directory.path, 'rgw');
  // Detached, so that Ctrl-C does not reach the script. It ends when the tests close its standard input.
  const child = spawn('bash', [join(import.meta.dirname, 'rgw.sh'), 'run', path], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  });
  const exit = once(child, 'exit');
  const started = await Promise.race([once(child.stdout, 'data'), exit.then(() => undefined)]);
  if (started === undefined) throw new Error('the Ceph RGW did not start');
  const text = await readFile(join(path, 'environment'), 'utf8');
  return {
    environment: Object.fromEntries(
      [...text.matchAll(/^export (\w+)=(.*)$/gm)].map((match) => match.slice(1)),
    ),
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await exit;
      await directory[Symbol.asyncDispose]();
    },
  };
}
