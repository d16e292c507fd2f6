/** The Web Worker of md5.ts. It hashes one Blob at a time, and reports its progress. */
import { hashBlob } from './hash-blob.ts';

/** The worker answers a Blob with any number of `hashedBytes` messages, and then with `md5` or `failure`. */
export type HashReport = { hashedBytes: number } | { md5: Uint8Array } | { failure: string };

/**
 * The number of hashed bytes after which the worker reports its progress. A message for each piece that the browser
 * reads (64 KiB in Chromium) would keep the page busy.
 */
const REPORT_BYTES = 4 * 1024 ** 2;

addEventListener('message', ({ data: blob }: MessageEvent<Blob>) => {
  hash(blob).then(
    (md5) => report({ md5 }),
    (error: unknown) => report({ failure: String(error) }),
  );
});

async function hash(blob: Blob): Promise<Uint8Array> {
  let unreported = 0;
  const md5 = await hashBlob(blob, (bytes) => {
    unreported += bytes;
    if (unreported < REPORT_BYTES) return;
    report({ hashedBytes: unreported });
    unreported = 0;
  });
  report({ hashedBytes: unreported });
  return md5;
}

function report(message: HashReport): void {
  postMessage(message);
}
