/** Computes MD5s of ranges of a source. It hashes a file on worker threads, and a Blob or bytes in this thread. */
import { createHash } from 'node:crypto';
import { on } from 'node:events';
import { availableParallelism } from 'node:os';
import { extname } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { HashReport, HashTask } from './md5-worker.ts';
import { runWorkers } from './run-workers.ts';
import type { OpenSource } from './source.ts';

export interface HashOptions {
  signal: AbortSignal;
  onHashed: (bytes: number) => void;
}

/** More threads would not help, because eight threads hash bytes faster than a disk delivers them. */
const THREADS_MAX = 8;

/** Hashes one range in this thread. The event loop runs other work after each piece. */
export async function md5OfRange(
  source: OpenSource,
  { start, end }: HashTask,
  { signal, onHashed }: HashOptions,
): Promise<Uint8Array> {
  const hash = createHash('md5');
  for await (const piece of source.read(start, end)) {
    signal.throwIfAborted();
    hash.update(piece);
    onHashed(piece.length);
    await setImmediate();
  }
  return hash.digest();
}

/**
 * Hashes the ranges and returns one MD5 for each range, in the order of the ranges. Computing one MD5 keeps a
 * whole CPU core busy, so worker threads share the ranges of a file.
 */
export async function md5OfRanges(
  source: OpenSource,
  ranges: readonly HashTask[],
  { signal, onHashed }: HashOptions,
): Promise<Uint8Array[]> {
  const md5s: Uint8Array[] = new Array(ranges.length);
  const left = ranges.entries();
  const { fd } = source;
  const threads = fd === undefined ? 1 : Math.min(availableParallelism(), THREADS_MAX, ranges.length);
  await runWorkers(threads, signal, async (workerSignal) => {
    const options = { signal: workerSignal, onHashed };
    await using hasher = fd === undefined ? inThisThread(source, options) : startThread(fd, options);
    for (const [i, range] of left) md5s[i] = await hasher.md5(range);
  });
  return md5s;
}

interface Hasher extends AsyncDisposable {
  md5(range: HashTask): Promise<Uint8Array>;
}

function inThisThread(source: OpenSource, options: HashOptions): Hasher {
  return { md5: (range) => md5OfRange(source, range, options), [Symbol.asyncDispose]: async () => {} };
}

function startThread(fd: number, { signal, onHashed }: HashOptions): Hasher {
  // This file is .ts in the repository and .js in the published package. `md5-worker` has the same extension.
  const url = new URL(`./md5-worker${extname(import.meta.url)}`, import.meta.url);
  const worker = new Worker(url, { workerData: { fd } });
  const reports = on(worker, 'message', { signal });
  return {
    async md5(range) {
      worker.postMessage(range);
      for (;;) {
        const [report]: HashReport[] = (await reports.next()).value ?? [];
        if (report === undefined) throw new Error('the hashing thread ended before it reported an MD5');
        if ('md5' in report) return report.md5;
        onHashed(report.hashedBytes);
      }
    },
    async [Symbol.asyncDispose]() {
      await reports.return?.();
      // The thread must end before the caller closes the file. After the close, the number of the descriptor
      // can belong to another file, and the thread would read that file.
      await worker.terminate();
    },
  };
}
