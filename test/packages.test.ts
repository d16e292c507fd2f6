/**
 * package.json and package-lock.json work on every platform, not only on the one of the engineer who changed them last.
 * npm 12 runs an install script only if `allowScripts` names its package, and every platform has packages of its own.
 */
import { readFile } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { expect, it } from 'vitest';

interface LockedPackage {
  hasInstallScript?: boolean;
  optional?: boolean;
  optionalDependencies?: Record<string, string>;
}

const ROOT = join(import.meta.dirname, '..');
const read = async (name: string) => JSON.parse(await readFile(join(ROOT, name), 'utf8'));
const { allowScripts }: { allowScripts: Record<string, boolean> } = await read('package.json');
const { packages }: { packages: Record<string, LockedPackage> } = await read('package-lock.json');

/** The name of the package at a path such as `node_modules/a/node_modules/@b/c`. */
function nameOf(path: string): string {
  return path.split('node_modules/').at(-1) ?? '';
}

/** Whether Node finds the package `name` from the package at `path`. */
function isLocked(path: string, name: string): boolean {
  if (packages[posix.join(path, 'node_modules', name)] !== undefined) return true;
  return path !== '' && isLocked(path.slice(0, Math.max(path.lastIndexOf('/node_modules/'), 0)), name);
}

it('allowScripts names exactly the locked packages with an install script, those of other platforms too', () => {
  const withScript = Object.entries(packages).filter(([, { hasInstallScript }]) => hasInstallScript === true);
  expect(Object.keys(allowScripts).sort()).toEqual(
    [...new Set(withScript.map(([path]) => nameOf(path)))].sort(),
  );
});

it('package-lock.json has the packages of all platforms', () => {
  const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter((name) => !isLocked(path, name)),
  );
  expect(missing).toEqual([]);
});

// Its install script installs a package for the platform that is not in package-lock.json. Not every release of Node
// has that package for every platform, and then `npm ci` would fail as a whole.
it('npm ci goes on without the package `node`, with the Node that runs npm', () => {
  expect(packages['node_modules/node']).toMatchObject({ optional: true });
});
