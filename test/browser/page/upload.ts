import { createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-web';
import { FileService, type UploadOptions, uploadFile } from 'file-service-client';

/**
 * The gateway, which served the page, forwards these calls and adds the user. JSON would need a registry of the error
 * details for `uploadMany`, binary messages do not.
 */
export const files = createClient(
  FileService,
  createConnectTransport({ baseUrl: location.origin, useBinaryFormat: true }),
);

/** Uploads a file that the user chose. The button cancels the upload; the same file continues it. */
export async function upload(
  file: File,
  bar: HTMLProgressElement,
  cancel: HTMLButtonElement,
  options: UploadOptions = {},
): Promise<string> {
  const abort = new AbortController();
  cancel.addEventListener('click', () => abort.abort(new Error('cancelled')));
  const { existing } = await uploadFile(files, file, {
    ...options,
    signal: abort.signal,
    onProgress: ({ phase, bytesTotal, bytesHashed, bytesSent, bytesResumed }) => {
      bar.dataset.phase = phase;
      bar.max = bytesTotal;
      bar.value = phase === 'hashing' ? bytesHashed : bytesSent + bytesResumed;
    },
  });
  return existing ? 'already there' : 'uploaded';
}
