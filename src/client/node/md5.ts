/** Computes MD5s of ranges of a source, on worker threads or in this thread. */
import { createHash } from 'node:crypto';
import { on } from 'node:events';
import { availableParallelism } from 'node:os';
import { extname } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { Gate } from '../many/gate.ts';
import type { HashOptions, Range } from '../upload/platform.ts';
import { runWorkers } from '../upload/run-workers.ts';
import type { HashReport, OpenFile, SeesFile } from './md5-worker.ts';

/** More threads would not help, because eight threads hash bytes faster than a disk delivers them. */
const THREADS_MAX = 8;

type Read = (range: Range) => AsyncIterable<Uint8Array>;

/**
 * Hashes one range after the other in this thread. The event loop runs other work after each piece of a range.
 *
 * @param hashing lets this thread hash one source at a time. If it hashed eight files of 5 MiB side by side, all of
 *   them would be hashed at the same moment, and only then would the first be sent. 100 such files took 11 % longer.
 */
export async function md5sInPlace(
  read: Read,
  ranges: readonly Range[],
  options: HashOptions,
  hashing?: Gate,
): Promise<Uint8Array[]> {
  const leave = await hashing?.enter(1, options.signal);
  try {
    const md5s: Uint8Array[] = [];
    for (const range of ranges) md5s.push(await md5InPlace(read, range, options));
    return md5s;
  } finally {
    leave?.();
  }
}

async function md5InPlace(read: Read, range: Range, { signal, onHashed }: HashOptions): Promise<Uint8Array> {
  const hash = createHash('md5');
  for await (const piece of read(range)) {
    signal.throwIfAborted();
    hash.update(piece);
    onHashed(piece.length);
    await setImmediate();
  }
  return hash.digest();
}

/**
 * Hashes the ranges of an open file. Computing one MD5 keeps a CPU core busy, so threads share the ranges. Where no
 * thread can be used, this thread hashes.
 */
export async function md5sOnThreads(
  file: OpenFile,
  read: Read,
  ranges: readonly Range[],
  { signal, onHashed }: HashOptions,
): Promise<Uint8Array[]> {
  const md5s: Uint8Array[] = new Array(ranges.length);
  const left = ranges.entries();
  const threads = Math.min(availableParallelism(), THREADS_MAX, ranges.length);
  await runWorkers(threads, signal, async (workerSignal) => {
    const options = { signal: workerSignal, onHashed };
    const thread = await startThread(file, options);
    try {
      for (const [i, range] of left) md5s[i] = await (thread?.md5(range) ?? md5InPlace(read, range, options));
    } finally {
      await thread?.end();
    }
  });
  return md5s;
}

/**
 * Returns undefined where no thread can be used: a bundle does not contain the file of the worker, Node's permission
 * model forbids workers, and in Deno a thread does not see the open file.
 */
async function startThread(file: OpenFile, { signal, onHashed }: HashOptions) {
  const worker = loadWorker(file);
  if (worker === undefined) return undefined;
  const reports = on(worker, 'message', { signal });
  const next = async () => (await reports.next()).value?.[0];
  const end = async (): Promise<void> => {
    await reports.return?.();
    // The thread must end before the caller closes the file. After the close, the number of the descriptor
    // can belong to another file, and the thread would read that file.
    await worker.terminate();
  };
  const seesFile: SeesFile = await next().catch(() => false);
  if (!seesFile) {
    await end();
    signal.throwIfAborted();
    return undefined;
  }
  return {
    async md5(range: Range): Promise<Uint8Array> {
      worker.postMessage(range);
      for (;;) {
        const report: HashReport | undefined = await next();
        if (report === undefined) throw new Error('the hashing thread ended before it reported an MD5');
        if ('md5' in report) return report.md5;
        onHashed(report.hashedBytes);
      }
    },
    end,
  };
}

function loadWorker(file: OpenFile): Worker | undefined {
  try {
    // This file is .ts in the repository and .js in the published package. `md5-worker` has the same extension.
    const url = new URL(`./md5-worker${extname(import.meta.url)}`, import.meta.url);
    const worker = new Worker(url, { workerData: file });
    // While `on` in `startThread` listens, it reports errors. Afterwards this listener keeps an error of the worker
    // from ending the process.
    return worker.on('error', () => {});
  } catch {
    // A CommonJS bundle has no `import.meta.url`.
    return undefined;
  }
}
