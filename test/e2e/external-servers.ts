import { createDatabase } from '../harness/database.ts';
import { startTestObjectStore } from '../harness/object-store.ts';

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
  const { accessKeyId, secretAccessKey } = store.credentials;
  let storageIsLost = false;
  return {
    environment: {
      DATABASE_URL: database.url,
      S3_BUCKET: store.bucket,
      S3_ENDPOINT: store.endpoint,
      S3_REGION: store.region,
      S3_FORCE_PATH_STYLE: 'true',
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
    },
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
