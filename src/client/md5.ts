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

/** More than this many threads read faster than disks give. */
const THREADS_MAX = 8;

/** Of a range, in this thread, which has a turn for others after each piece. */
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

/** Of each range in order: MD5 is as slow as a core, so those of a file are shared among the cores. */
export async function md5OfRanges(
  source: OpenSource,
  ranges: readonly HashTask[],
  { signal, onHashed }: HashOptions,
): Promise<Uint8Array[]> {
  const md5s: Uint8Array[] = new Array(ranges.length);
  const left = ranges.entries();
  const { fd } = source;
  const threads = fd === undefined ? 1 : Math.min(availableParallelism(), THREADS_MAX, ranges.length);
  await runWorkers(threads, signal, async (laneSignal) => {
    const options = { signal: laneSignal, onHashed };
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
  // As TypeScript in this project, as JavaScript in the package that is made of it.
  const url = new URL(`./md5-worker${extname(import.meta.url)}`, import.meta.url);
  const worker = new Worker(url, { workerData: { fd } });
  const reports = on(worker, 'message', { signal });
  return {
    async md5(range) {
      worker.postMessage(range);
      for (;;) {
        const [report]: HashReport[] = (await reports.next()).value ?? [];
        if (report === undefined) throw new Error('the thread ended');
        if ('md5' in report) return report.md5;
        onHashed(report.hashedBytes);
      }
    },
    async [Symbol.asyncDispose]() {
      await reports.return?.();
      // The descriptor must not be closed, and given to another file, while a thread still reads from it.
      await worker.terminate();
    },
  };
}
