import { base64Encode } from '@bufbuild/protobuf/wire';
import { openSource } from './source.ts';

/**
 * Returns the MD5 of a Blob in base64, for a page that calls CreatePresignedUpload itself, for example
 * with Uppy (a library for uploads).
 *
 * @throws UploadError SOURCE_CHANGED, or the reason of the signal
 */
export async function md5Of(blob: Blob, signal = new AbortController().signal): Promise<string> {
  const source = openSource(blob);
  const [md5 = new Uint8Array()] = await source.md5s([{ start: 0, end: blob.size }], {
    signal,
    onHashed: () => {},
  });
  return base64Encode(md5);
}
