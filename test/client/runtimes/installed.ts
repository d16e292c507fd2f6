/** The runtimes of `package.json` beside this file, installed outside the project. */
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { output } from '../../interop/command.ts';
import type { Missing } from '../../interop/toolchain.ts';

const VERSIONS = join(import.meta.dirname, 'package.json');
const CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'file-service');
/** Each list of versions has its own directory. */
const DIRECTORY = join(
  CACHE,
  `runtimes-${createHash('sha256').update(readFileSync(VERSIONS)).digest('hex').slice(0, 12)}`,
);
const PACKAGES = join(DIRECTORY, 'node_modules');
/** This file is written at the end of the installation, so an interrupted installation is not used. */
const COMPLETE = join(PACKAGES, '.package-lock.json');

/** The command that runs a JavaScript file. */
export const RUNTIMES: Record<string, readonly [program: string, ...args: string[]]> = {
  'Node 20': [join(PACKAGES, 'node20/bin/node')],
  'Node 22': [join(PACKAGES, 'node22/bin/node')],
  Bun: [join(PACKAGES, '.bin/bun')],
  Deno: [join(PACKAGES, '.bin/deno'), 'run', '--allow-all'],
};

export function missingRuntimes(): Missing {
  return existsSync(COMPLETE)
    ? undefined
    : 'there is no Node 20, Node 22, Bun and Deno (`npx node test/interop/prepare.ts` installs them)';
}

export async function installRuntimes(): Promise<void> {
  rmSync(DIRECTORY, { recursive: true, force: true });
  mkdirSync(DIRECTORY, { recursive: true });
  copyFileSync(VERSIONS, join(DIRECTORY, 'package.json'));
  await output('npm', ['install', '--no-audit', '--no-fund'], { cwd: DIRECTORY });
}
