import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import pg from 'pg';
import { startPostgres } from '../../src/dev/postgres/postgres.ts';
import { migrateAt } from '../../src/postgres/migrate.ts';
import { startTestObjectStore } from '../harness/object-store.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';

export interface BenchServers extends AsyncDisposable {
  /** The environment of one stack: a new database with the service's schema, and the bucket. */
  environment(): Promise<StackEnvironment>;
}

export interface StackEnvironment extends Record<string, string> {
  DATABASE_URL: string;
}

/** Starts one Postgres and one object store for all stacks, outside their processes as in production. */
export async function startServers(): Promise<BenchServers> {
  const directory = await temporaryDirectory();
  const postgres = await startPostgres({
    directory: join(directory.path, 'postgres'),
    // Without syncs to disk, whose cost is the same for all stacks and does not depend on the service.
    settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', shared_buffers: '512MB' },
  });
  const store = await startTestObjectStore();
  return {
    async environment() {
      const name = `bench_${randomBytes(4).toString('hex')}`;
      const client = new pg.Client({ connectionString: postgres.url });
      await client.connect();
      await client.query(`create database ${name}`);
      await client.end();
      const url = new URL(postgres.url);
      url.pathname = `/${name}`;
      await migrateAt({ urls: [url.href] });
      return {
        DATABASE_URL: url.href,
        S3_BUCKET: store.bucket,
        S3_ENDPOINT: store.endpoint,
        S3_REGION: store.region,
        S3_FORCE_PATH_STYLE: 'true',
        AWS_ACCESS_KEY_ID: store.credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: store.credentials.secretAccessKey,
      };
    },
    async [Symbol.asyncDispose]() {
      await store.stop();
      await postgres.stop();
      await directory[Symbol.asyncDispose]();
    },
  };
}
