import type { Logger } from 'pino';
import type { BackendConfig } from '../config/config.ts';
import { StartupError } from '../config/startup-error.ts';

/** Where rows and bytes are kept, whoever runs it. */
export interface Backends {
  databaseUrl: string;
  bucket: string;
  endpoint: string | undefined;
  forcePathStyle: boolean;
  credentials: { accessKeyId: string; secretAccessKey: string } | undefined;
  stop(): Promise<void>;
}

/** The servers that were configured or, for development, those that the service brings with it. */
export async function openBackends(backend: BackendConfig, region: string, log: Logger): Promise<Backends> {
  if (backend.kind === 'external') {
    return { ...backend, credentials: undefined, stop: async () => undefined };
  }
  // Only here, so that a production install needs neither of them.
  const { startEmbedded } = await import('../dev/embedded.ts');
  const { dataDirectory } = backend;
  try {
    const embedded = await startEmbedded({ dataDirectory, region, log: (line) => log.warn(line) });
    return { ...embedded, forcePathStyle: true };
  } catch (error) {
    throw new StartupError((error as Error).message, { cause: error });
  }
}
