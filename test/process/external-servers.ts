import { openTestBucket } from '../harness/bucket.ts';
import { createDatabase } from '../harness/database.ts';

export interface ExternalServers extends AsyncDisposable {
  /** What an operator sets for them. The schema is not there yet. */
  readonly environment: Record<string, string>;
}

/** A database and a bucket as production has them: somebody else's. */
export async function externalServers(): Promise<ExternalServers> {
  const [database, bucket] = await Promise.all([createDatabase(), openTestBucket()]);
  return {
    environment: {
      DATABASE_URL: database.url,
      S3_BUCKET: bucket.bucket,
      S3_ENDPOINT: bucket.endpoint,
      S3_REGION: bucket.region,
      S3_FORCE_PATH_STYLE: 'true',
      AWS_ACCESS_KEY_ID: bucket.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: bucket.credentials.secretAccessKey,
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([database.drop(), bucket.stop()]);
    },
  };
}
