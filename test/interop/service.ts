import { openTestBucket } from '../harness/bucket.ts';
import { createDatabase } from '../harness/database.ts';
import { startService } from '../harness/service-process.ts';

/** The service in a process of its own, with a database and a bucket of its own, for clients that are processes too. */
export interface InteropService {
  /** `127.0.0.1:<port>` */
  grpc: string;
  /** `http://127.0.0.1:<port>` */
  http: string;
  /** From now on every call is UNAVAILABLE. */
  loseDatabase(): Promise<void>;
  stop(): Promise<void>;
}

/** The bucket is on the real S3 server that TEST_S3_ENDPOINT names, if it is set. */
export async function startInteropService(): Promise<InteropService> {
  const [database, bucket] = await Promise.all([createDatabase(), openTestBucket()]);
  const service = await startService({
    environment: {
      DATABASE_URL: database.url,
      MIGRATE_ON_START: 'true',
      S3_BUCKET: bucket.bucket,
      S3_ENDPOINT: bucket.endpoint,
      S3_REGION: bucket.region,
      S3_FORCE_PATH_STYLE: 'true',
      AWS_ACCESS_KEY_ID: bucket.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: bucket.credentials.secretAccessKey,
    },
  });
  return {
    grpc: service.grpc,
    http: service.http,
    loseDatabase: database.drop,
    async stop() {
      await service.stop();
      await database.drop();
      await bucket.stop();
    },
  };
}
