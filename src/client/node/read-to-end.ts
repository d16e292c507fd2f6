import { UploadError } from '../upload/upload-error.ts';
import type { Descriptor } from './descriptor.ts';
import { changedSource } from './memory-source.ts';

/** The size of the first buffer for a file whose size is 0 in `stat`. The buffer doubles until the whole file fits. */
const UNSIZED_FIRST_BYTES = 64 * 1024;

/**
 * The most bytes that are read from a file whose size is 0 in `stat`, because such a file can be endless. The files of
 * /proc that people keep are far smaller.
 */
const UNSIZED_MAX_BYTES = 64 * 1024 ** 2;

/**
 * Reads a small file to its end, because its size can be wrong: files of /proc have content and the size 0, and
 * files of /sys have less content than their size says.
 *
 * @throws UploadError SOURCE_CHANGED for a file that is longer than its size, SOURCE_UNUSABLE for an endless file
 */
export async function readToEnd(file: Descriptor, sizeBytes: number, label: string): Promise<Buffer> {
  // A file that is longer than its size fills the additional byte.
  let bytes = Buffer.allocUnsafe(sizeBytes === 0 ? UNSIZED_FIRST_BYTES : sizeBytes + 1);
  for (let length = 0; ; ) {
    const bytesRead = await file.read(bytes, length, bytes.length - length, length);
    length += bytesRead;
    // One read returns a whole file of a disk, so most files need no second read that finds the end.
    if (bytesRead === 0 || length === sizeBytes) return bytes.subarray(0, length);
    if (length < bytes.length) continue;
    if (sizeBytes > 0) throw changedSource();
    if (length >= UNSIZED_MAX_BYTES) throw endless(label);
    bytes = Buffer.concat([bytes, Buffer.allocUnsafe(length)]);
  }
}

function endless(label: string): UploadError {
  return new UploadError(
    'SOURCE_UNUSABLE',
    `${label} has no size, and more than ${UNSIZED_MAX_BYTES / 1024 ** 2} MiB of content`,
  );
}
