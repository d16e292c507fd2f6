import { createHash } from 'node:crypto';
import { readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';

/** A range of a file to be hashed; `end` is exclusive. */
export interface HashTask {
  start: number;
  end: number;
}

/** Any number of `hashedBytes` as it goes on, then one `md5`. */
export type HashReport = { hashedBytes: number } | { md5: Uint8Array };

const PIECE_BYTES = 256 * 1024;
/** A message per piece would cost as much as a tenth of the hashing. */
const PIECES_PER_REPORT = 32;

/** A thread of md5-of-parts.ts: one range at a time, of the file that is open in this process under `workerData.fd`. */
const { fd } = workerData as { fd: number };
const piece = Buffer.allocUnsafe(PIECE_BYTES);

parentPort?.on('message', ({ start, end }: HashTask) => {
  const hash = createHash('md5');
  let unreported = 0;
  for (let position = start; position < end; ) {
    const bytes = readSync(fd, piece, 0, Math.min(piece.length, end - position), position);
    // Shorter than it was: whoever asked finds that out.
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

function report(message: HashReport): void {
  parentPort?.postMessage(message);
}
