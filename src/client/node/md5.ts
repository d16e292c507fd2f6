/** Computes MD5s of ranges of a source, on worker threads or in this thread. */
import { createHash } from 'node:crypto';
import { on } from 'node:events';
import { availableParallelism } from 'node:os';
import { extname } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { HashOptions, Range } from '../upload/platform.ts';
import { runWorkers } from '../upload/run-workers.ts';
import type { HashReport } from './md5-worker.ts';

/** More threads would not help, because eight threads hash bytes faster than a disk delivers them. */
const THREADS_MAX = 8;

/** Hashes one range after the other in this thread. The event loop runs other work after each piece. */
export async function md5sInPlace(
  read: (range: Range) => AsyncIterable<Uint8Array>,
  ranges: readonly Range[],
  { signal, onHashed }: HashOptions,
): Promise<Uint8Array[]> {
  const md5s: Uint8Array[] = [];
  for (const range of ranges) {
    const hash = createHash('md5');
    for await (const piece of read(range)) {
      signal.throwIfAborted();
      hash.update(piece);
      onHashed(piece.length);
      await setImmediate();
    }
    md5s.push(hash.digest());
  }
  return md5s;
}

/** Hashes the ranges of an open file. Computing one MD5 keeps a CPU core busy, so threads share the ranges. */
export async function md5sOnThreads(
  fd: number,
  ranges: readonly Range[],
  { signal, onHashed }: HashOptions,
): Promise<Uint8Array[]> {
  const md5s: Uint8Array[] = new Array(ranges.length);
  const left = ranges.entries();
  const threads = Math.min(availableParallelism(), THREADS_MAX, ranges.length);
  await runWorkers(threads, signal, async (workerSignal) => {
    const thread = startThread(fd, { signal: workerSignal, onHashed });
    try {
      for (const [i, range] of left) md5s[i] = await thread.md5(range);
    } finally {
      await thread.end();
    }
  });
  return md5s;
}

function startThread(fd: number, { signal, onHashed }: HashOptions) {
  // This file is .ts in the repository and .js in the published package. `md5-worker` has the same extension.
  const url = new URL(`./md5-worker${extname(import.meta.url)}`, import.meta.url);
  const worker = new Worker(url, { workerData: { fd } });
  const reports = on(worker, 'message', { signal });
  return {
    async md5(range: Range): Promise<Uint8Array> {
      worker.postMessage(range);
      for (;;) {
        const [report]: HashReport[] = (await reports.next()).value ?? [];
        if (report === undefined) throw new Error('the hashing thread ended before it reported an MD5');
        if ('md5' in report) return report.md5;
        onHashed(report.hashedBytes);
      }
    },
    async end(): Promise<void> {
      await reports.return?.();
      // The thread must end before the caller closes the file. After the close, the number of the descriptor
      // can belong to another file, and the thread would read that file.
      await worker.terminate();
    },
  };
}
