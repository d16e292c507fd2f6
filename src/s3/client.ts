import { S3Client } from '@aws-sdk/client-s3';
import type { BucketLocation } from './bucket-location.ts';

export interface ClientOptions extends Omit<BucketLocation, 'bucket'> {
  /** Unset: the SDK's own chain (environment, files, web identity, instance). */
  credentials: { accessKeyId: string; secretAccessKey: string } | undefined;
}

/** Loopback and a region's own network answer in milliseconds; what takes longer is not there. */
const CONNECT_TIMEOUT_MS = 1_000;

/** A HEAD or a DELETE that takes longer is tried anew, or left to the sweeper. */
const REQUEST_TIMEOUT_MS = 2_500;

/** As many looks as a first page takes at once, for two pages, before requests queue for a socket. */
export const SOCKETS_MAX = 64;

/** The first try and one retry: whoever calls has a deadline, and the sweeper comes again. */
const ATTEMPTS_MAX = 2;

export function createClient(options: ClientOptions): S3Client {
  const agent = { keepAlive: true, maxSockets: SOCKETS_MAX };
  return new S3Client({
    region: options.region,
    ...(options.endpoint && { endpoint: options.endpoint }),
    ...(options.credentials && { credentials: options.credentials }),
    forcePathStyle: options.forcePathStyle,
    maxAttempts: ATTEMPTS_MAX,
    // By default the SDK adds a CRC32 of its own to what it sends and signs, and
    // expects one in what it gets; not every S3 has them.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      throwOnRequestTimeout: true,
      httpAgent: agent,
      httpsAgent: agent,
    },
  });
}
