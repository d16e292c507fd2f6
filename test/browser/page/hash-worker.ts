/** The worker that computes the MD5s of a file: in one streaming pass, with one chunk in memory. */
import { createMD5 } from 'hash-wasm';

export interface HashRequest {
  file: Blob;
  /** The size of each piece that gets an MD5. The last piece has the rest. */
  pieceBytes: number;
}

export type HashNews = { hashedBytes: number } | { md5s: string[] } | { failure: string };

self.addEventListener('message', ({ data }: MessageEvent<HashRequest>) => {
  hashPieces(data).then(
    (md5s) => report({ md5s }),
    (error) => report({ failure: String(error) }),
  );
});

async function hashPieces({ file, pieceBytes }: HashRequest): Promise<string[]> {
  const md5 = await createMD5();
  const md5s: string[] = [];
  let hashedBytes = 0;
  // An empty file has one piece too.
  for (let start = 0; start === 0 || start < file.size; start += pieceBytes) {
    md5.init();
    for await (const chunk of file.slice(start, start + pieceBytes).stream()) {
      md5.update(chunk);
      hashedBytes += chunk.length;
      report({ hashedBytes });
    }
    md5s.push(btoa(String.fromCharCode(...md5.digest('binary'))));
  }
  return md5s;
}

function report(news: HashNews): void {
  self.postMessage(news);
}
