import { type Client, createClient, type Transport } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node';
import pg from 'pg';
import { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { readConfig } from '../../src/config/config.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { type App, startApp } from '../../src/server/app.ts';
import { openTestBucket, type TestBucket } from './bucket.ts';
import { createDatabase } from './database.ts';
import { sendHeaders } from './headers.ts';
import { s3Environment } from './s3-environment.ts';

export const PROTOCOLS = ['gRPC', 'Connect', 'gRPC-Web'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

/** The whole service in this process, on free ports, with its own database and bucket. */
export interface TestService extends AsyncDisposable {
  app: App;
  bucket: TestBucket;
  /** Direct access to the rows. */
  pool: pg.Pool;
  grpcUrl: string;
  httpUrl: string;
  /** The environment with which the service was started. */
  environment: Record<string, string>;
  /** A client that calls as a gateway does for this user. `undefined` sends no user. */
  as(userId: string | undefined, protocol?: Protocol): Client<typeof FileService>;
  transport(protocol: Protocol, headers: Record<string, string>): Transport;
}

/**
 * @param environment the variables that an operator would set in addition to those of the servers
 * @param opened the bucket to use, which is stopped with the service. Default: a new bucket.
 */
export async function startTestService(
  environment: Record<string, string> = {},
  opened?: TestBucket,
): Promise<TestService> {
  const [database, bucket] = await Promise.all([createDatabase(), opened ?? openTestBucket()]);
  // The service finds these with the credential chain of the SDK, as in production.
  process.env.AWS_ACCESS_KEY_ID = bucket.credentials.accessKeyId;
  process.env.AWS_SECRET_ACCESS_KEY = bucket.credentials.secretAccessKey;
  const settings = {
    GRPC_PORT: '0',
    HTTP_PORT: '0',
    DATABASE_URL: database.url,
    MIGRATE_ON_START: 'true',
    ...s3Environment(bucket),
    LOG_LEVEL: process.env.TEST_LOG_LEVEL ?? 'silent',
    ...environment,
  };
  const config = readConfig(settings);
  const app = await startApp(config, createLogger(config.operation.logLevel));
  await app.prepared;
  const pool = new pg.Pool({ connectionString: database.url, max: 4 });
  pool.on('error', () => undefined);
  const grpcUrl = `http://127.0.0.1:${app.grpcPort}`;
  const httpUrl = `http://127.0.0.1:${app.httpPort}`;

  const transport = (protocol: Protocol, headers: Record<string, string>): Transport => {
    const interceptors = [sendHeaders(headers)];
    switch (protocol) {
      case 'gRPC':
        return createGrpcTransport({ baseUrl: grpcUrl, interceptors });
      case 'Connect':
        return createConnectTransport({ baseUrl: httpUrl, httpVersion: '1.1', interceptors });
      case 'gRPC-Web':
        return createGrpcWebTransport({ baseUrl: httpUrl, httpVersion: '1.1', interceptors });
    }
  };
  return {
    app,
    bucket,
    pool,
    grpcUrl,
    httpUrl,
    environment: settings,
    transport,
    as: (userId, protocol = 'gRPC') =>
      createClient(FileService, transport(protocol, userId === undefined ? {} : { 'x-user-id': userId })),
    async [Symbol.asyncDispose]() {
      await app.stop();
      await pool.end();
      await database.drop();
      await bucket.stop();
    },
  };
}
