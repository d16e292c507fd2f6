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
    /**
     * The cluster of an embedded Postgres that was started once. Undefined when TEST_DATABASE_URL names a
     * server. Use `dataDirectory`, not this.
     */
    preparedCluster: string | undefined;
  }
}

/**
 * Differs from the prefix of earlier versions, whose lock was not a file: this version would take their
 * directories for abandoned directories.
 */
const DIRECTORY_PREFIX = 'file-service-test-cluster-';
/** A younger directory can belong to a run that has not locked it yet. */
const ABANDONED_AFTER_MS = 60_000;

/**
 * Starts one Postgres for the whole run in a new directory, or uses the server that TEST_DATABASE_URL names.
 */
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
      // The rows need not survive a crash of the machine.
      fsync: 'off',
      synchronous_commit: 'off',
      full_page_writes: 'off',
      // Every test file can have one or two pools.
      max_connections: '300',
    },
  };
  // Created and stopped, because only the files of a stopped Postgres may be copied.
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

/** Removes the directories of killed runs: 40 MB each. A running test run holds the lock of its directory. */
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
      // The directory is in use, belongs to another user, or was removed by another run. None of these is an
      // error.
    }
  }
}
