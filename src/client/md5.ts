/** MD5 of ranges of a source: on worker threads for a file, in this thread for a Blob or bytes. */
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

/** More threads would not help: eight hash faster than a disk delivers the bytes. */
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
 * Hashes the ranges and returns one MD5 for each, in their order. MD5 uses a whole core, so the ranges of a
 * file are shared among worker threads.
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
  // This file is .ts in the repository and .js in the packed package. The worker has the same extension.
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
      // A thread must not read from the descriptor after its close: the number could belong to another file
      // by then.
      await worker.terminate();
    },
  };
}
