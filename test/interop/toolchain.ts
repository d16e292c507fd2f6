/** Checks whether this machine has the tools and libraries of the tests that need more than npm. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { run } from './command.ts';

/** The reason why a toolchain cannot be used here. `undefined` when it can be used. */
export type Missing = string | undefined;

export const PREPARE = '`npx node test/interop/prepare.ts` installs it';

export async function missingPrograms(...names: string[]): Promise<Missing> {
  for (const name of names) {
    const { code } = await run(name, ['--help']);
    if (code === undefined) return `there is no ${name} on the PATH`;
  }
  return undefined;
}

/** A directory outside the project. Each version of the manifests, which name the contents, has its own. */
export function cacheDirectory(name: string, ...manifests: string[]): string {
  const hash = createHash('sha256');
  for (const manifest of manifests) hash.update(readFileSync(manifest));
  const version = hash.digest('hex').slice(0, 12);
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'file-service', `${name}-${version}`);
}
