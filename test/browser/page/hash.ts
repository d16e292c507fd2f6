import type { HashNews, HashRequest } from './hash-worker.ts';

/** Called with the number of bytes that are done. */
export type Progress = (doneBytes: number) => void;

/** Returns the MD5 of each piece of a file, in base64. A worker hashes, so that the page stays responsive. */
export function hashPieces(file: Blob, pieceBytes: number, progress: Progress): Promise<string[]> {
  const worker = new Worker(new URL('./hash-worker.ts', import.meta.url), { type: 'module' });
  const hashed = new Promise<string[]>((resolve, reject) => {
    worker.addEventListener('error', ({ message }) => reject(new Error(`hashing failed: ${message}`)));
    worker.addEventListener('message', ({ data: news }: MessageEvent<HashNews>) => {
      if ('md5s' in news) resolve(news.md5s);
      else if ('failure' in news) reject(new Error(`the file cannot be read: ${news.failure}`));
      else progress(news.hashedBytes);
    });
  });
  worker.postMessage({ file, pieceBytes } satisfies HashRequest);
  return hashed.finally(() => worker.terminate());
}
