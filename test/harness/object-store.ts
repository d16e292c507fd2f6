/** A development object store for one test, on a free port, in a temporary directory. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ObjectStoreOptions, startObjectStore } from '../../src/dev/object-store/server.ts';

export const testRegion = 'eu-central-1';
export const testBucket = 'files';
export const testCredentials = { accessKeyId: 'development', secretAccessKey: 'development-secret' };

export interface TestObjectStore extends AsyncDisposable {
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly forcePathStyle: true;
  readonly directory: string;
  /** Stops the store. Removes its directory, unless `options.directory` was set. */
  stop(): Promise<void>;
}

export async function startTestObjectStore(
  options: Partial<ObjectStoreOptions> = {},
): Promise<TestObjectStore> {
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'object-store-')));
  const store = await startObjectStore({
    port: 0,
    buckets: [testBucket],
    credentials: [testCredentials],
    region: testRegion,
    ...options,
    directory,
  });
  const stop = async () => {
    await store.stop();
    if (options.directory === undefined) await rm(directory, { recursive: true, force: true });
  };
  return {
    endpoint: store.endpoint,
    region: testRegion,
    bucket: testBucket,
    credentials: testCredentials,
    forcePathStyle: true,
    directory,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
