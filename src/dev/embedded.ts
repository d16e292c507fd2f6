/**
 * `src/dev` is the development environment of `npm start` and of the tests: a Postgres and an object store
 * on loopback, kept in DATA_DIR. `startEmbedded` starts both and returns the configuration that an operator
 * would have written.
 *
 * Production code does not belong here: a production installation has no embedded Postgres, so the service
 * imports this folder dynamically, and only when DATABASE_URL and S3_BUCKET are not set.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { printable, printableLines } from '../text/printable.ts';
import { POSTGRES_DIRECTORY, STORE_DIRECTORY } from './data-directory/data-directory.ts';
import { InUseError, lockDataDirectory } from './data-directory/data-directory-lock.ts';
import { privateDirectory } from './data-directory/private-directory.ts';
import { readPrivateFile, writePrivateFile } from './data-directory/private-file.ts';
import { type ObjectStoreOptions, startObjectStore } from './object-store/server.ts';
import { isPortFree } from './postgres/free-port.ts';
import { runningPostgresUrl, startPostgres } from './postgres/postgres.ts';

interface EmbeddedOptions {
  /** Data is kept in this directory between runs. A lock allows only one running service per directory. */
  dataDirectory: string;
  region: string;
  log: (line: string) => void;
  /** Limits what a connection may request of the object store, which shares its process with the service. */
  limitRequests?: ObjectStoreOptions['limitRequests'];
  /**
   * Whether to use the servers of a running service on this directory, if there is one. Commands do this, so that they
   * can run beside `npm start`.
   */
  sharesServers: boolean;
}

const BUCKET = 'files';

/**
 * Starts Postgres and the object store on loopback, and returns the settings with which the service uses them.
 * If one of the two fails to start, the other is stopped.
 */
export async function startEmbedded(options: EmbeddedOptions) {
  try {
    return await startBoth(options);
  } catch (error) {
    throw explained(error);
  }
}

async function startBoth({ dataDirectory, region, log, limitRequests, sharesServers }: EmbeddedOptions) {
  let lock: ReturnType<typeof lockDataDirectory>;
  try {
    lock = lockDataDirectory(dataDirectory);
  } catch (error) {
    if (!sharesServers || !(error instanceof InUseError)) throw error;
    return serversOf(error);
  }
  const started = await Promise.allSettled([
    startPostgres({ directory: join(lock.directory, POSTGRES_DIRECTORY), log }),
    startStore(join(lock.directory, STORE_DIRECTORY), { region, limitRequests }),
  ]);
  const stop = async () => {
    await Promise.all(started.map((one) => (one.status === 'fulfilled' ? one.value.stop() : undefined)));
    lock.release();
  };
  const [postgres, store] = started;
  if (postgres.status === 'fulfilled' && store.status === 'fulfilled') {
    const { endpoint, credentials } = store.value;
    // The servers of a command end with the command, so no other command may use them.
    if (!sharesServers) lock.announceServers();
    return { databaseUrl: postgres.value.url, bucket: BUCKET, endpoint, credentials, stop };
  }
  await stop();
  throw postgres.status === 'rejected' ? postgres.reason : (store as PromiseRejectedResult).reason;
}

/** Returns the servers of the running service that holds the lock. */
function serversOf({ use, directory, hasServers }: InUseError) {
  const settings = hasServers ? readSettings(settingsFileIn(join(directory, STORE_DIRECTORY))) : undefined;
  if (settings === undefined) {
    throw new Error(
      `${use}, whose servers cannot be used: it is starting or stopping, or it is another command. Repeat this command ` +
        'when it has started or ended.',
    );
  }
  const { port, ...credentials } = settings;
  return {
    databaseUrl: runningPostgresUrl(join(directory, POSTGRES_DIRECTORY)),
    bucket: BUCKET,
    endpoint: `http://127.0.0.1:${port}`,
    credentials,
    stop: async () => undefined,
  };
}

/**
 * Returns the error for the operator. A missing module means that the embedded Postgres is not installed: it is a
 * development dependency, so that no production image contains it. In the message of any other error, control
 * characters for a terminal are escaped, because a path or Postgres's log can contain text that another user chose.
 */
function explained(error: unknown): Error {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code !== 'MODULE_NOT_FOUND' && code !== 'ERR_MODULE_NOT_FOUND') {
    return new Error(printableLines(message), { cause: error });
  }
  return new Error(
    'DATABASE_URL and S3_BUCKET are required here: this installation has no Postgres of its own, which ' +
      '`npm ci --omit=dev` leaves out. To run with one, for development, install with `npm ci`.',
    { cause: error },
  );
}

interface StoreSettings {
  port: number;
  accessKeyId: string;
  secretAccessKey: string;
}

/**
 * Starts the object store. Every start uses the same keys and, if it is free, the same port, so that a URL from
 * before a restart still works after the restart.
 */
async function startStore(directory: string, options: Pick<ObjectStoreOptions, 'region' | 'limitRequests'>) {
  privateDirectory(directory);
  const path = settingsFileIn(directory);
  const remembered = readSettings(path);
  const { accessKeyId, secretAccessKey } = remembered ?? {
    accessKeyId: 'development',
    secretAccessKey: randomBytes(24).toString('base64url'),
  };
  const credentials = { accessKeyId, secretAccessKey };
  const port = remembered !== undefined && (await isPortFree(remembered.port)) ? remembered.port : 0;
  const store = await startObjectStore({
    ...options,
    directory,
    port,
    buckets: [BUCKET],
    credentials: [credentials],
  });
  const settings: StoreSettings = { port: store.port, ...credentials };
  writePrivateFile(path, JSON.stringify(settings));
  return { ...store, credentials };
}

function settingsFileIn(directory: string): string {
  return join(directory, 'settings.json');
}

/** The largest `settings.json` in bytes that is read. The file that the service writes has about 100 bytes. */
const SETTINGS_MAX_BYTES = 4096;

/**
 * Reads the file and checks each value. No error contains the error of JSON.parse, because that error quotes the
 * text of the file, and the text contains the secret key.
 */
function readSettings(path: string): StoreSettings | undefined {
  const text = readPrivateFile(path, SETTINGS_MAX_BYTES);
  if (text === undefined) return undefined;
  const settings = parseSettings(text);
  if (settings !== undefined) return settings;
  throw new Error(
    `${printable(path)} does not hold what the service writes there: a port and the two keys of the object store. ` +
      'Remove the file. URLs that were made earlier then stop working.',
  );
}

function parseSettings(text: string): StoreSettings | undefined {
  try {
    const { port, accessKeyId, secretAccessKey } = JSON.parse(text);
    const isPort = Number.isInteger(port) && port > 0 && port < 65_536;
    return isPort && isKey(accessKeyId) && isKey(secretAccessKey)
      ? { port, accessKeyId, secretAccessKey }
      : undefined;
  } catch {
    return undefined;
  }
}

function isKey(value: unknown): boolean {
  return typeof value === 'string' && /^[A-Za-z0-9_-]{1,128}$/.test(value);
}
