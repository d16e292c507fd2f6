/** Computes the MD5 of a Blob with the npm package hash-wasm (WebAssembly), because WebCrypto has no MD5. */
import { createMD5 } from 'hash-wasm';

/**
 * Hashes a Blob in this thread, with one piece of it in memory.
 *
 * @param onPiece called with the size of each piece. The next piece is read when the returned promise is resolved.
 */
export async function hashBlob(
  blob: Blob,
  onPiece: (bytes: number) => void | Promise<void>,
): Promise<Uint8Array> {
  const md5 = await createMD5();
  // Safari cannot iterate over a stream.
  const pieces = blob.stream().getReader();
  try {
    for (;;) {
      const { value, done } = await pieces.read();
      if (done) return md5.digest('binary');
      md5.update(value);
      await onPiece(value.byteLength);
    }
  } finally {
    await pieces.cancel().catch(() => {});
  }
}
