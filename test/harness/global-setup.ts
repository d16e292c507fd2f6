import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { startPostgres } from '../../src/dev/postgres.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** A Postgres server on which the tests may create databases. Use `createDatabase`, not this. */
    postgresUrl: string;
  }
}

/** One Postgres for the whole run, in a directory of its own, or the server that TEST_DATABASE_URL names. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const given = process.env.TEST_DATABASE_URL;
  if (given !== undefined && given !== '') {
    project.provide('postgresUrl', given);
    return async () => {};
  }
  const directory = await mkdtemp(join(tmpdir(), 'file-service-test-postgres-'));
  const postgres = await startPostgres({
    directory,
    settings: {
      // These rows need not outlive the run.
      fsync: 'off',
      synchronous_commit: 'off',
      full_page_writes: 'off',
      // Every test file may have a pool or two.
      max_connections: '300',
    },
  });
  project.provide('postgresUrl', postgres.url);
  return async () => {
    await postgres.stop();
    await rm(directory, { recursive: true, force: true });
  };
}
