import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryDirectory } from '../../harness/temporary-directory.ts';
import { findServer } from '../server-program.ts';

interface StartedS3Server extends AsyncDisposable {
  /** The TEST_S3_* variables with which tests find the server. */
  environment: Record<string, string>;
  /** The directory of the server, with all that it stores. */
  directory: string;
}

/** The scripts of this folder, and the program that each needs. */
const PROGRAMS = { rgw: 'radosgw', versitygw: 'versitygw', minio: 'minio' } as const;

/** Starts an S3 server that ends with this process. Returns undefined if it is not installed. */
export async function startS3Server(script: keyof typeof PROGRAMS): Promise<StartedS3Server | undefined> {
  if ((await findServer(PROGRAMS[script])) === undefined) return undefined;
  const temporary = await temporaryDirectory();
  const directory = join(temporary.path, script);
  // Detached, so that Ctrl-C does not reach the script. It ends when the tests close its standard input.
  const child = spawn('bash', [join(import.meta.dirname, `${script}.sh`), 'run', directory], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  });
  const exit = once(child, 'exit');
  const started = await Promise.race([once(child.stdout, 'data'), exit.then(() => undefined)]);
  if (started === undefined) throw new Error(`${script} did not start`);
  const text = await readFile(join(directory, 'environment'), 'utf8');
  return {
    environment: Object.fromEntries(
      [...text.matchAll(/^export (\w+)=(.*)$/gm)].map((match) => match.slice(1)),
    ),
    directory,
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await exit;
      await temporary[Symbol.asyncDispose]();
    },
  };
}
