import { openTestBucket } from '../harness/bucket.ts';
import { createDatabase } from '../harness/database.ts';
import { s3Environment } from '../harness/s3-environment.ts';
import { startService } from '../harness/service-process.ts';

/**
 * The service in a separate process, with its own database and bucket, for clients that are processes too.
 */
export interface InteropService extends AsyncDisposable {
  /** `127.0.0.1:<port>` */
  grpc: string;
  /** `http://127.0.0.1:<port>` */
  http: string;
  /** Drops the database. Every later call is UNAVAILABLE. */
  loseDatabase(): Promise<void>;
}

/** The bucket is on the real S3 server of TEST_S3_ENDPOINT, if that variable is set. */
export async function startInteropService(): Promise<InteropService> {
  await using starting = new AsyncDisposableStack();
  const database = starting.use(await createDatabase());
  const bucket = starting.adopt(await openTestBucket(), ({ stop }) => stop());
  const service = await startService({
    environment: {
      DATABASE_URL: database.url,
      MIGRATE_ON_START: 'true',
      ...s3Environment(bucket),
    },
  });
  // `stop` and not the disposal of the service, which kills it: a service that does not stop in order is an
  // error.
  starting.adopt(service, ({ stop }) => stop());
  const started = starting.move();
  return {
    grpc: service.grpc,
    http: service.http,
    loseDatabase: database.drop,
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}
