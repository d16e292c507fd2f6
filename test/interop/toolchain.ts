/** Whether this machine has what a test's client is made with. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { run } from './command.ts';

/** Why a toolchain cannot be used here; `undefined` when it can. */
export type Missing = string | undefined;

const PREPARE = '`npx node test/interop/prepare.ts` brings it';

export async function missingPrograms(...names: string[]): Promise<Missing> {
  for (const name of names) {
    const { code } = await run(name, ['--help']);
    if (code === undefined) return `there is no ${name} on the PATH`;
  }
  return undefined;
}

export const GO_CLIENT = join(import.meta.dirname, 'go');

/** Nothing is fetched during a test: neither a module nor another Go. */
export const GO_OFFLINE = { GOPROXY: 'off', GOTOOLCHAIN: 'local', GOWORK: 'off' };

/** @param cache Go's module cache, where it is not the usual one */
export async function missingGo(cache?: string): Promise<Missing> {
  const env = { ...process.env, ...GO_OFFLINE, ...(cache === undefined ? {} : { GOMODCACHE: cache }) };
  const { code, stderr } = await run('go', ['mod', 'download'], { cwd: GO_CLIENT, env });
  if (code === undefined) return 'there is no go on the PATH';
  if (code === 0) return undefined;
  return `go cannot build its client from what is here (${PREPARE}): ${stderr.split('\n', 1)[0]}`;
}

export const PYTHON_CLIENT = join(import.meta.dirname, 'python');
export const PYTHON_REQUIREMENTS = join(PYTHON_CLIENT, 'requirements.txt');

/** A virtual environment for each set of versions, outside the project. */
export const PYTHON_ENVIRONMENT = join(
  process.env.XDG_CACHE_HOME || join(homedir(), '.cache'),
  'file-service',
  `python-${createHash('sha256').update(readFileSync(PYTHON_REQUIREMENTS)).digest('hex').slice(0, 12)}`,
);
export const PYTHON = join(PYTHON_ENVIRONMENT, 'bin/python');

export async function missingPython(python = PYTHON): Promise<Missing> {
  const { code } = await run(python, ['-c', 'import grpc, grpc_tools.protoc, grpc_status.rpc_status']);
  return code === 0 ? undefined : `there is no Python environment with grpcio (${PREPARE})`;
}
