import { execFile } from 'node:child_process';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { s3Environment } from '../../harness/s3-environment.ts';
import { startService } from '../../harness/service-process.ts';
import { temporaryDirectory } from '../../harness/temporary-directory.ts';
import { startS3Server } from '../../servers/s3/start-s3-server.ts';
import { startDelay } from './delay.ts';

const SERVERS = join(import.meta.dirname, '../../servers');

interface UploadServers extends AsyncDisposable {
  /** The service and S3 on loopback. */
  near: Network;
  /** The same behind a network with a round trip of ROUND_TRIP_MS. */
  far: Network;
  /** Removes all stored bytes, so that the disk does not fill. */
  empty(): Promise<void>;
}

const ROUND_TRIP_MS = 20;

export interface Network {
  serviceUrl: string;
  s3: S3Address;
}

export interface S3Address {
  endpoint: string;
  region: string;
  bucket: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
}

/** Starts a versitygw, Debian's Postgres and the service, each in its own process, as in production. */
export async function startUploadServers(): Promise<UploadServers> {
  await using starting = new AsyncDisposableStack();
  // S3 keeps connections open. By default versitygw closes each after one request.
  process.env.VGW_KEEP_ALIVE = 'true';
  const gateway = await startS3Server('versitygw');
  if (gateway === undefined)
    throw new Error('versitygw is not on the PATH (see test/servers/s3/versitygw.sh)');
  starting.use(gateway);
  const database = starting.use(await startPostgres());
  const given = gateway.environment;
  const s3: S3Address = {
    endpoint: given.TEST_S3_ENDPOINT ?? '',
    region: given.TEST_S3_REGION ?? '',
    bucket: 'bench-upload',
    credentials: {
      accessKeyId: given.TEST_S3_ACCESS_KEY_ID ?? '',
      secretAccessKey: given.TEST_S3_SECRET_ACCESS_KEY ?? '',
    },
  };
  const client = new S3Client({ ...s3, forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: s3.bucket }));
  client.destroy();
  const environment = { DATABASE_URL: database.url, MIGRATE_ON_START: 'true', ...s3Environment(s3) };
  const service = starting.use(await startService({ environment }));
  const delayedS3 = starting.use(await startDelay(ROUND_TRIP_MS, [Number(new URL(s3.endpoint).port)]));
  const farEndpoint = `http://127.0.0.1:${delayedS3.ports[0]}`;
  const farService = starting.use(
    await startService({ environment: { ...environment, S3_PUBLIC_ENDPOINT: farEndpoint } }),
  );
  const delayedService = starting.use(await startDelay(ROUND_TRIP_MS, [farService.ports.HTTP]));
  const owned = starting.move();
  const bucket = join(gateway.directory, 'buckets', s3.bucket);
  return {
    near: { serviceUrl: service.http, s3 },
    far: {
      serviceUrl: `http://127.0.0.1:${delayedService.ports[0]}`,
      s3: { ...s3, endpoint: farEndpoint },
    },
    async empty() {
      // The server keeps its own files in names that begin with a dot.
      const names = (await readdir(bucket)).filter((name) => !name.startsWith('.'));
      for (const name of names) await rm(join(bucket, name), { recursive: true });
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function startPostgres() {
  const temporary = await temporaryDirectory();
  const directory = join(temporary.path, 'postgres');
  const run = (mode: 'start' | 'stop') =>
    promisify(execFile)('bash', [join(SERVERS, 'postgres.sh'), mode, directory]);
  // Root starts the server as another user, who must reach the directory.
  await promisify(execFile)('chmod', ['711', temporary.path]);
  await run('start');
  const [, url = ''] =
    /TEST_DATABASE_URL=(.*)/.exec(await readFile(join(directory, 'environment'), 'utf8')) ?? [];
  return {
    url,
    async [Symbol.asyncDispose]() {
      await run('stop');
      await temporary[Symbol.asyncDispose]();
    },
  };
}
