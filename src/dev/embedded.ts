import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { lockDataDirectory } from './data-directory-lock.ts';
import { anyFreePort, isPortFree } from './free-port.ts';
import { startObjectStore } from './object-store/server.ts';
import { startPostgres } from './postgres.ts';

export interface EmbeddedOptions {
  /** Everything is kept here between runs. One service at a time. */
  dataDirectory: string;
  region: string;
  log: (line: string) => void;
}

/** A database and a bucket of the service's own, for development and tests. */
export interface Embedded {
  databaseUrl: string;
  bucket: string;
  endpoint: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
  stop(): Promise<void>;
}

const BUCKET = 'files';

/** Starts both on loopback and gives back what an operator would have configured. */
export async function startEmbedded({ dataDirectory, region, log }: EmbeddedOptions): Promise<Embedded> {
  const lock = await lockDataDirectory(dataDirectory);
  const directory = join(dataDirectory, 's3');
  try {
    const { port, ...credentials } = await rememberedSettings(directory);
    const [postgres, store] = await Promise.all([
      startPostgres({ directory: join(dataDirectory, 'postgres'), log }),
      startObjectStore({ directory, port, region, buckets: [BUCKET], credentials: [credentials] }),
    ]);
    return {
      databaseUrl: postgres.url,
      bucket: BUCKET,
      endpoint: store.endpoint,
      credentials,
      async stop() {
        await Promise.all([postgres.stop(), store.stop()]);
        await lock.release();
      },
    };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

interface StoreSettings {
  port: number;
  accessKeyId: string;
  secretAccessKey: string;
}

/** The same port and keys at every start, so that URLs made before a restart still work after it. */
async function rememberedSettings(directory: string): Promise<StoreSettings> {
  const path = join(directory, 'settings.json');
  const settings = (await readSettings(path)) ?? {
    port: await anyFreePort(),
    accessKeyId: 'development',
    secretAccessKey: randomBytes(24).toString('base64url'),
  };
  if (!(await isPortFree(settings.port))) settings.port = await anyFreePort();
  await mkdir(directory, { recursive: true });
  // Renamed into place: a crash leaves the old settings or the new ones, and never half of them.
  await writeFile(`${path}.new`, JSON.stringify(settings), { mode: 0o600 });
  await rename(`${path}.new`, path);
  return settings;
}

async function readSettings(path: string): Promise<StoreSettings | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as StoreSettings;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
