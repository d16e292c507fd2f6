import type { Logger } from 'pino';
import type { BackendConfig, DatabaseAddress } from '../../config/backend.ts';
import { StartupError } from '../../config/startup-error.ts';
import { limitHttp1 } from '../../rpc/limits/pipelined-requests.ts';

/** The Postgres and the S3 server that store rows and bytes. They are external, or embedded in this service. */
interface StorageServers {
  database: DatabaseAddress;
  bucket: string;
  endpoint: string | undefined;
  forcePathStyle: boolean;
  credentials: { accessKeyId: string; secretAccessKey: string } | undefined;
  /** Whether variables of AWS may choose a FIPS or dual-stack endpoint. */
  endpointVariants: boolean;
  /** Stops the embedded servers; does nothing if the servers are external. */
  stop(): Promise<void>;
}

/**
 * Returns the configured servers, or starts the embedded ones for development.
 *
 * @param sharesServers whether the embedded servers of a running service are used, if there is one
 */
export async function openStorageServers(
  backend: BackendConfig,
  region: string,
  log: Logger,
  sharesServers: boolean,
): Promise<StorageServers> {
  if (backend.kind === 'external') {
    return { ...backend, credentials: undefined, endpointVariants: true, stop: async () => undefined };
  }
  // `src/dev/embedded.ts` is imported only here and only when needed, so that a production install needs neither the
  // package of the embedded Postgres nor the code of the embedded object store.
  const { startEmbedded } = await import('../../dev/embedded.ts');
  const { dataDirectory } = backend;
  try {
    const { databaseUrl, ...embedded } = await startEmbedded({
      dataDirectory,
      region,
      sharesServers,
      log: (line) => log.warn(line),
      limitRequests: limitHttp1,
    });
    const database = { urls: [databaseUrl], mustBeWritable: false, passwordFile: undefined };
    return { ...embedded, database, forcePathStyle: true, endpointVariants: false };
  } catch (error) {
    throw new StartupError((error as Error).message, { cause: error });
  }
}
