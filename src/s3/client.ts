/**
 * `src/s3` implements the ports `ObjectStore`, `MultipartStore`, `Presigner` and `BucketInventory` for any
 * S3 server, over the AWS SDK. `signing/` computes signatures, `urls/` makes the URLs that clients get, and `answers/`
 * says what an answer of S3 means.
 *
 * Rules about files and keys do not belong here (see `../files/`), nor does the development object store
 * (see `../dev/`). No file of this folder reads or writes a row of the database.
 */
import http from 'node:http';
import https from 'node:https';
import { S3Client } from '@aws-sdk/client-s3';
import { closeIdleConnections } from '../overload/idle-connections.ts';
import type { BucketLocation } from './bucket-location.ts';

export interface ClientOptions extends Omit<BucketLocation, 'bucket'> {
  /** If `undefined`, the SDK finds credentials itself (environment, files, web identity, EC2 instance). */
  credentials: { accessKeyId: string; secretAccessKey: string } | undefined;
  /**
   * Whether variables and profiles of AWS may choose one of Amazon's FIPS or dual-stack endpoints. The embedded
   * object store has only one endpoint. Default: true.
   */
  endpointVariants?: boolean;
}

/**
 * A TCP connect on loopback or inside a region takes milliseconds. After one second, the server is taken for
 * unreachable.
 */
const CONNECT_TIMEOUT_MS = 1_000;

/**
 * A request that takes longer fails, and the SDK retries it. Only CompleteMultipartUpload may take longer
 * (`multipart-uploads.ts`).
 */
const REQUEST_TIMEOUT_MS = 2_500;

/**
 * The maximum number of sockets to S3. The fair queue (`fair-send.ts`) gives a single user at most half of
 * them. These are 32 sockets, enough for the 32 HEAD requests that a first page of a list sends at once to
 * verify pending files.
 */
export const SOCKETS_MAX = 64;

/**
 * The number of tries of one SDK command: the first try and one retry. More retries would not fit into the caller's
 * deadline. If all tries fail, the caller may repeat its call, and the sweeper (`src/files/maintenance/sweeper.ts`)
 * later verifies a pending file and removes the object of a deleted file. Before its SDK command, a HEAD or DELETE
 * has one more try without the SDK (`objects.ts`).
 */
const ATTEMPTS_MAX = 2;

export function createClient(options: ClientOptions): S3Client {
  const sockets = { keepAlive: true, maxSockets: SOCKETS_MAX };
  const httpAgent = new http.Agent(sockets);
  const httpsAgent = new https.Agent(sockets);
  const client = new S3Client({
    region: options.region,
    ...(options.endpoint && { endpoint: options.endpoint }),
    ...(options.credentials && { credentials: options.credentials }),
    forcePathStyle: options.forcePathStyle,
    ...(options.endpointVariants === false && { useFipsEndpoint: false, useDualstackEndpoint: false }),
    maxAttempts: ATTEMPTS_MAX,
    // By default the SDK adds a CRC32 to the requests that it sends and signs, and expects one in responses.
    // Not every S3 server supports them.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      throwOnRequestTimeout: true,
      httpAgent,
      httpsAgent,
    },
  });
  afterTimeouts(client, () => {
    closeIdleConnections(httpAgent);
    closeIdleConnections(httpsAgent);
  });
  return client;
}

/** All requests pass here, those of the SDK's commands and those without (`signed-request.ts`), before their retries. */
function afterTimeouts({ config: { requestHandler } }: S3Client, onTimeout: () => void): void {
  const handle = requestHandler.handle.bind(requestHandler);
  requestHandler.handle = async (...params) => {
    try {
      return await handle(...params);
    } catch (error) {
      if (error instanceof Error && error.name === 'TimeoutError') onTimeout();
      throw error;
    }
  };
}
