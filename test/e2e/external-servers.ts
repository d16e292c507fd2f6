import { createDatabase } from '../harness/database.ts';
import { startTestObjectStore } from '../harness/object-store.ts';

export interface ExternalServers extends AsyncDisposable {
  /** What an operator sets for them. The schema is not there yet. */
  readonly environment: Record<string, string>;
  /** From here on S3 does not answer. */
  loseStorage(): Promise<void>;
  loseDatabase(): Promise<void>;
}

/** A database and a bucket as production has them: somebody else's. */
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
