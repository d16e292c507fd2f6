import { openTestBucket } from './bucket.ts';
import { createDatabase } from './database.ts';
import { s3Environment } from './s3-environment.ts';

export interface ExternalServers extends AsyncDisposable {
  /** The variables with which the service uses these servers. The database has no schema yet. */
  readonly environment: Record<string, string>;
  /** Stops S3 for the rest of the test. */
  loseStorage(): Promise<void>;
  loseDatabase(): Promise<void>;
}

/**
 * Opens a database and a bucket outside the service, as in production. The bucket is on the real S3 server of
 * TEST_S3_ENDPOINT, if that variable is set.
 */
export async function externalServers(): Promise<ExternalServers> {
  const [database, bucket] = await Promise.all([createDatabase(), openTestBucket()]);
  let storageIsLost = false;
  return {
    environment: { DATABASE_URL: database.url, ...s3Environment(bucket) },
    async loseStorage() {
      storageIsLost = true;
      await bucket.stop();
    },
    loseDatabase: () => database.drop(),
    async [Symbol.asyncDispose]() {
      await Promise.all([database.drop(), storageIsLost ? undefined : bucket.stop()]);
    },
  };
}
