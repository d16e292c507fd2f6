import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { findServer } from './server-program.ts';

export interface Rgw extends AsyncDisposable {
  /** The TEST_S3_* variables, by which tests find a real server. */
  environment: Record<string, string>;
}

/** A Ceph RGW of a test's own, which goes when this process does. Undefined where none is installed. */
export async function startRgw(): Promise<Rgw | undefined> {
  if ((await findServer('radosgw')) === undefined) return undefined;
  const directory = await temporaryDirectory();
  const path = join(directory.path, 'rgw');
  // Ctrl-C is for the tests, whose end is its own.
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
