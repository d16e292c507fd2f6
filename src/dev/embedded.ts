import { randomBytes } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { lockDataDirectory } from './data-directory-lock.ts';
import { isPortFree } from './free-port.ts';
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
  const started = await Promise.allSettled([
    startPostgres({ directory: join(dataDirectory, 'postgres'), log }),
    startStore(join(dataDirectory, 's3'), region),
  ]);
  const stop = async () => {
    await Promise.all(started.map((one) => (one.status === 'fulfilled' ? one.value.stop() : undefined)));
    await lock.release();
  };
  const [postgres, store] = started;
  if (postgres.status === 'fulfilled' && store.status === 'fulfilled') {
    const { endpoint, credentials } = store.value;
    return { databaseUrl: postgres.value.url, bucket: BUCKET, endpoint, credentials, stop };
  }
  await stop();
  throw explained(postgres.status === 'rejected' ? postgres.reason : (store as PromiseRejectedResult).reason);
}

/** The embedded Postgres is a development dependency, so that no production image carries it. */
function explained(fault: unknown): unknown {
  const { code } = fault as NodeJS.ErrnoException;
  if (code !== 'MODULE_NOT_FOUND' && code !== 'ERR_MODULE_NOT_FOUND') return fault;
  return new Error(
    'DATABASE_URL and S3_BUCKET are required here: this installation has no Postgres of its own, which ' +
      '`npm ci --omit=dev` leaves out. To run with one, for development, install with `npm ci`.',
    { cause: fault },
  );
}

interface StoreSettings {
  port: number;
  accessKeyId: string;
  secretAccessKey: string;
}

/** On the same port and with the same keys at every start, so that URLs made before a restart still work after it. */
async function startStore(directory: string, region: string) {
  const path = join(directory, 'settings.json');
  const remembered = await readSettings(path);
  const { accessKeyId, secretAccessKey } = remembered ?? {
    accessKeyId: 'development',
    secretAccessKey: randomBytes(24).toString('base64url'),
  };
  const credentials = { accessKeyId, secretAccessKey };
  const port = remembered !== undefined && (await isPortFree(remembered.port)) ? remembered.port : 0;
  const store = await startObjectStore({
    directory,
    port,
    region,
    buckets: [BUCKET],
    credentials: [credentials],
  });
  await writeSettings(path, { port: store.port, ...credentials });
  return { ...store, credentials };
}

/** Renamed into place: a crash leaves the old settings or the new ones, and never half of them. */
async function writeSettings(path: string, settings: StoreSettings): Promise<void> {
  await writeFile(`${path}.new`, JSON.stringify(settings), { mode: 0o600 });
  await rename(`${path}.new`, path);
}

async function readSettings(path: string): Promise<StoreSettings | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as StoreSettings;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
