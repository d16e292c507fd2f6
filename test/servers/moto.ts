import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { anyFreePort } from '../../src/dev/postgres/free-port.ts';
import { dyingWithParent } from '../harness/service-process.ts';
import { cacheDirectory } from '../interop/toolchain.ts';
import { answers } from './server-program.ts';

/** moto is an S3 server for tests that checks no signature, no MD5 and no expiry. */
interface Moto extends AsyncDisposable {
  readonly endpoint: string;
  readonly region: string;
  /** moto accepts any credentials. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

export const MOTO_REQUIREMENTS = join(import.meta.dirname, 'moto-requirements.txt');
export const MOTO_ENVIRONMENT = cacheDirectory('python', MOTO_REQUIREMENTS);

const READY_SECONDS = 30;

/** The path of the program, if `test/interop/prepare.ts` has installed it. */
export async function findMoto(): Promise<string | undefined> {
  const path = join(MOTO_ENVIRONMENT, 'bin/moto_server');
  return access(path).then(
    () => path,
    () => undefined,
  );
}

/** Starts moto on a free port of loopback. Returns undefined if it is not installed. */
export async function startMoto(): Promise<Moto | undefined> {
  const program = await findMoto();
  if (program === undefined) return undefined;
  const port = await anyFreePort();
  const command = dyingWithParent([program, '-H', '127.0.0.1', '-p', String(port)]);
  const child = spawn(command[0], command.slice(1), { stdio: 'ignore' });
  const exit = once(child, 'exit');
  const endMs = Date.now() + READY_SECONDS * 1_000;
  while (!(await answers(port))) {
    if (child.exitCode !== null || Date.now() > endMs) throw new Error('moto did not start');
    await sleep(50);
  }
  return {
    endpoint: `http://127.0.0.1:${port}`,
    region: 'us-east-1',
    credentials: { accessKeyId: 'any', secretAccessKey: 'any-secret' },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exit;
    },
  };
}
