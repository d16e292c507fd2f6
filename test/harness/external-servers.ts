import { createDatabase } from './database.ts';
import { startTestObjectStore } from './object-store.ts';
import { s3Environment } from './s3-environment.ts';

export interface ExternalServers extends AsyncDisposable {
  /** The variables with which the service uses these servers. The database has no schema yet. */
  readonly environment: Record<string, string>;
  /** Stops S3 for the rest of the test. */
  loseStorage(): Promise<void>;
  loseDatabase(): Promise<void>;
}

/** Starts a database and a bucket outside the service, as in production. */
export async function externalServers(): Promise<ExternalServers> {
  const [database, store] = await Promise.all([createDatabase(), startTestObjectStore()]);
  let storageIsLost = false;
  return {
    environment: { DATABASE_URL: database.url, ...s3Environment(store) },
    async loseStorage() {
      storageIsLost = true;
      await store.stop();
    },
    loseDatabase: () => database.drop(),
    async [Symbol.asyncDispose]() {
      await Promise.all([database.drop(), storageIsLost ? undefined : store.stop()]);
    },
  };
}
