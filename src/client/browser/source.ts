/**
 * `src/client/browser` is the part of the client that only a browser can run: it reads Blobs, hashes them in Web
 * Workers, and sends PUTs with XMLHttpRequest.
 *
 * The order of the steps does not belong here: `src/client/upload` has it. This file opens the Blob that is to be
 * uploaded, and detects that its file changed after it was chosen.
 */
import type { FoundSource, OpenSource } from '../upload/platform.ts';
import { UploadError } from '../upload/upload-error.ts';
import { md5sOfBlobs } from './md5.ts';

/** A File that the user chose, another Blob, or bytes. Bytes are copied, so the caller may change them afterwards. */
export type UploadSource = Blob | Uint8Array;

/** Bytes are copied when they are opened, and not here, because `uploadMany` finds thousands of sources ahead. */
export async function findSource(source: UploadSource): Promise<FoundSource<Blob>> {
  const sizeBytes = source instanceof Blob ? source.size : source?.byteLength;
  // A caller in JavaScript may pass any value, for example an input element or a stream.
  if (typeof sizeBytes !== 'number') {
    throw new UploadError('SOURCE_UNUSABLE', 'a source is a File, another Blob or a Uint8Array');
  }
  return { sizeBytes, open: async () => openSource(source) };
}

export function openSource(source: UploadSource): OpenSource<Blob> {
  const blob = source instanceof Blob ? source : new Blob([source as Uint8Array<ArrayBuffer>]);
  return {
    sizeBytes: blob.size,
    filename: blob instanceof File ? blob.name : undefined,
    mimeType: blob.type || undefined,
    body: ({ start, end }) => blob.slice(start, end),
    async md5s(ranges, options) {
      try {
        const blobs = ranges.map(({ start, end }) => blob.slice(start, end));
        return await md5sOfBlobs(blobs, options);
      } catch (error) {
        await assertReadable(blob);
        throw error;
      }
    },
    assertUnchanged: () => assertReadable(blob),
    close: async () => {},
  };
}

/**
 * Throws if the browser refuses to read the Blob. A browser refuses this if the size or the modification time of a File
 * has changed since the user chose the File.
 *
 * @throws UploadError SOURCE_CHANGED
 */
export async function assertReadable(blob: Blob): Promise<void> {
  try {
    await blob.slice(0, 1).arrayBuffer();
  } catch (error) {
    throw new UploadError('SOURCE_CHANGED', 'the file changed or went away: choose it again', {
      cause: error,
    });
  }
}
