import type { Logger } from 'pino';
import type { Backing } from './config.ts';
import { StartFault } from './start-fault.ts';

/** Where rows and bytes are kept, whoever runs it. */
export interface Servers {
  databaseUrl: string;
  bucket: string;
  endpoint: string | undefined;
  forcePathStyle: boolean;
  credentials: { accessKeyId: string; secretAccessKey: string } | undefined;
  stop(): Promise<void>;
}

/** The servers that were configured or, for development, those that the service brings with it. */
export async function openBacking(backing: Backing, region: string, log: Logger): Promise<Servers> {
  if (backing.kind === 'external') {
    return { ...backing, credentials: undefined, stop: async () => undefined };
  }
  // Only here, so that a production install needs neither of them.
  const { startEmbedded } = await import('./dev/embedded.ts');
  const { dataDirectory } = backing;
  try {
    const embedded = await startEmbedded({ dataDirectory, region, log: (line) => log.warn(line) });
    return { ...embedded, forcePathStyle: true };
  } catch (error) {
    throw new StartFault((error as Error).message, { cause: error });
  }
}
