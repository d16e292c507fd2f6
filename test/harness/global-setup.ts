import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { TestProject } from 'vitest/node';
import { lockDataDirectory } from '../../src/dev/data-directory/data-directory-lock.ts';
import { startPostgres } from '../../src/dev/postgres/postgres.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** A Postgres server on which the tests may create databases. Use `createDatabase`, not this. */
    postgresUrl: string;
    /** The cluster of an embedded Postgres that has been started once; undefined beside another server. Use `dataDirectory`. */
    preparedCluster: string | undefined;
  }
}

/** Not the prefix of runs before the lock was a file: this one would take their directories for abandoned ones. */
const DIRECTORY_PREFIX = 'file-service-test-cluster-';
/** A directory this young may belong to a run that has not locked it yet. */
const ABANDONED_AFTER_MS = 60_000;

/** One Postgres for the whole run, in a directory of its own, or the server that TEST_DATABASE_URL names. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const given = process.env.TEST_DATABASE_URL;
  if (given !== undefined && given !== '') {
    project.provide('postgresUrl', given);
    project.provide('preparedCluster', undefined);
    return async () => {};
  }
  await removeAbandoned();
  const directory = await mkdtemp(join(tmpdir(), DIRECTORY_PREFIX));
  const lock = lockDataDirectory(directory);
  const options = {
    directory,
    settings: {
      // These rows need not outlive the run.
      fsync: 'off',
      synchronous_commit: 'off',
      full_page_writes: 'off',
      // Every test file may have a pool or two.
      max_connections: '300',
    },
  };
  // Made and at rest, for the copy.
  await (await startPostgres(options)).stop();
  const preparedCluster = join(directory, 'prepared');
  await promisify(execFile)('cp', ['-a', join(directory, 'cluster'), preparedCluster]);
  project.provide('preparedCluster', preparedCluster);
  const postgres = await startPostgres(options);
  project.provide('postgresUrl', postgres.url);
  return async () => {
    await postgres.stop();
    await rm(directory, { recursive: true, force: true });
    lock.release();
  };
}

/** A run that was killed leaves no process, but it does leave its directory: 40 MB, which no living run has locked. */
async function removeAbandoned(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(DIRECTORY_PREFIX)) continue;
    const directory = join(tmpdir(), name);
    try {
      const { mtimeMs } = await stat(directory);
      if (Date.now() - mtimeMs < ABANDONED_AFTER_MS) continue;
      const lock = lockDataDirectory(directory);
      await rm(directory, { recursive: true, force: true });
      lock.release();
    } catch {
      // In use, another user's, or gone meanwhile: none of it concerns this run.
    }
  }
}
