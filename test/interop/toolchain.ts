/** Checks whether this machine has the tools and libraries of the test clients. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { run } from './command.ts';

/** The reason why a toolchain cannot be used here. `undefined` when it can be used. */
export type Missing = string | undefined;

const PREPARE = '`npx node test/interop/prepare.ts` installs it';

export async function missingPrograms(...names: string[]): Promise<Missing> {
  for (const name of names) {
    const { code } = await run(name, ['--help']);
    if (code === undefined) return `there is no ${name} on the PATH`;
  }
  return undefined;
}

export const GO_CLIENT = join(import.meta.dirname, 'go');

/** Go must not download anything during a test: neither a module nor another version of Go. */
export const GO_OFFLINE = { GOPROXY: 'off', GOTOOLCHAIN: 'local', GOWORK: 'off' };

/** @param cache another module cache than the default of Go */
export async function missingGo(cache?: string): Promise<Missing> {
  const env = { ...process.env, ...GO_OFFLINE, ...(cache === undefined ? {} : { GOMODCACHE: cache }) };
  const { code, stderr } = await run('go', ['mod', 'download'], { cwd: GO_CLIENT, env });
  if (code === undefined) return 'there is no go on the PATH';
  if (code === 0) return undefined;
  return `go cannot build the client, because modules are missing (${PREPARE}): ${stderr.split('\n', 1)[0]}`;
}

export const PYTHON_CLIENT = join(import.meta.dirname, 'python');
export const PYTHON_REQUIREMENTS = join(PYTHON_CLIENT, 'requirements.txt');

/** The virtual environment outside the project. Each version of the requirements has its own. */
export function pythonEnvironment(requirements: string): string {
  const version = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12);
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'file-service', `python-${version}`);
}
export const PYTHON_ENVIRONMENT = pythonEnvironment(PYTHON_REQUIREMENTS);
export const PYTHON = join(PYTHON_ENVIRONMENT, 'bin/python');

export async function missingPython(python = PYTHON): Promise<Missing> {
  const { code } = await run(python, ['-c', 'import grpc, grpc_tools.protoc, grpc_status.rpc_status']);
  return code === 0 ? undefined : `there is no Python environment with grpcio (${PREPARE})`;
}
