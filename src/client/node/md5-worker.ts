/**
 * The worker thread of md5.ts. It hashes one range at a time of the file that this process has open under
 * `workerData.fd`, and reports its progress to the main thread. It first reports whether it sees that file.
 */
import { createHash } from 'node:crypto';
import { fstatSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import type { Range } from '../upload/platform.ts';

export interface OpenFile {
  fd: number;
  /** The file system and the number of the file in it. Together they name the file. */
  dev: bigint;
  ino: bigint;
}

/** The first message of the thread: false when its descriptor `fd` is another file, or none. */
export type SeesFile = boolean;

/** The thread answers a range with any number of `hashedBytes` messages, and then with one `md5`. */
export type HashReport = { hashedBytes: number } | { md5: Uint8Array };

const PIECE_BYTES = 256 * 1024;
/**
 * The number of pieces (8 MiB in all) after which the thread reports its progress. One message for each piece
 * would cost a tenth of the time of the hashing.
 */
const PIECES_PER_REPORT = 32;

const { fd, dev, ino } = workerData as OpenFile;
const piece = Buffer.allocUnsafe(PIECE_BYTES);

parentPort?.on('message', ({ start, end }: Range) => {
  const hash = createHash('md5');
  let unreported = 0;
  for (let position = start; position < end; ) {
    const bytes = readSync(fd, piece, 0, Math.min(piece.length, end - position), position);
    // The file has become shorter. The main thread detects the change with `assertUnchanged` (file-source.ts).
    if (bytes === 0) break;
    hash.update(piece.subarray(0, bytes));
    position += bytes;
    unreported += bytes;
    if (unreported < PIECES_PER_REPORT * PIECE_BYTES) continue;
    report({ hashedBytes: unreported });
    unreported = 0;
  }
  report({ hashedBytes: unreported });
  report({ md5: hash.digest() });
});

report(seesFile());

/** In Deno each thread has its own descriptors. In Node and Bun all threads of a process share them. */
function seesFile(): SeesFile {
  try {
    const seen = fstatSync(fd, { bigint: true });
    return seen.dev === dev && seen.ino === ino;
  } catch {
    return false;
  }
}

function report(message: HashReport | SeesFile): void {
  parentPort?.postMessage(message);
}
