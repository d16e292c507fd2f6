/** Computes MD5s of Blobs, in Web Workers or in this thread. */
import type { HashOptions } from '../upload/platform.ts';
import { runWorkers } from '../upload/run-workers.ts';
import { hashBlob } from './hash-blob.ts';
import type { HashReport } from './md5-worker.ts';

/** The most Web Workers of one file. Without a limit, one file would keep all cores of a large machine busy. */
const WORKERS_MAX = 4;

/**
 * A file of this size or less is hashed in this thread. That takes a few milliseconds, and starting a worker takes
 * longer.
 */
const IN_PLACE_MAX_BYTES = 1024 ** 2;

/**
 * The time after which hashing in this thread pauses, because a browser draws and reacts to the user only between
 * tasks. When 200 MiB were hashed in the thread of the page, the longest task took 67 to 104 ms with this limit, and
 * 187 to 580 ms without a limit.
 */
const TASK_MAX_MS = 30;

/** Returns the MD5s in the order of the Blobs. */
export async function md5sOfBlobs(blobs: readonly Blob[], options: HashOptions): Promise<Uint8Array[]> {
  const md5s: Uint8Array[] = new Array(blobs.length);
  const left = blobs.entries();
  const sizeBytes = blobs.reduce((sum, { size }) => sum + size, 0);
  const workers = Math.min(navigator.hardwareConcurrency, WORKERS_MAX, blobs.length);
  await runWorkers(workers, options.signal, async (signal) => {
    const hasher = createHasher(sizeBytes > IN_PLACE_MAX_BYTES ? loadWorker() : undefined, {
      ...options,
      signal,
    });
    try {
      for (const [i, blob] of left) md5s[i] = await hasher.md5(blob);
    } finally {
      hasher.end();
    }
  });
  return md5s;
}

/**
 * The returned `md5` hashes a Blob in the worker. If there is no worker, or its file cannot be loaded, `md5` hashes in
 * this thread: a bundle can lack the file, and a policy of the page (CSP) can forbid workers.
 */
function createHasher(worker: Worker | undefined, { signal, onHashed }: HashOptions) {
  let isLoaded = worker !== undefined;
  const md5InWorker = (worker: Worker, blob: Blob) =>
    new Promise<Uint8Array | undefined>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      worker.onerror = () => resolve(undefined);
      worker.onmessage = ({ data: report }: MessageEvent<HashReport>) => {
        if ('hashedBytes' in report) onHashed(report.hashedBytes);
        else if ('md5' in report) resolve(report.md5);
        else reject(new Error(`hashing failed: ${report.failure}`));
      };
      worker.postMessage(blob);
    });
  return {
    async md5(blob: Blob): Promise<Uint8Array> {
      signal.throwIfAborted();
      const md5 = worker !== undefined && isLoaded ? await md5InWorker(worker, blob) : undefined;
      if (md5 !== undefined) return md5;
      isLoaded = false;
      return md5InPlace(blob, { signal, onHashed });
    },
    end: () => worker?.terminate(),
  };
}

function loadWorker(): Worker | undefined {
  try {
    // Bundlers find the file of the worker by this expression. The name ends in .js, because the published package has
    // .js files.
    return new Worker(new URL('./md5-worker.js', import.meta.url), { type: 'module' });
  } catch {
    // A page may not start a worker from another origin, where a bundle can come from.
    return undefined;
  }
}

async function md5InPlace(blob: Blob, { signal, onHashed }: HashOptions): Promise<Uint8Array> {
  let taskBeganMs = performance.now();
  return hashBlob(blob, async (bytes) => {
    signal.throwIfAborted();
    onHashed(bytes);
    if (performance.now() - taskBeganMs < TASK_MAX_MS) return;
    await new Promise((resolve) => setTimeout(resolve));
    taskBeganMs = performance.now();
  });
}
