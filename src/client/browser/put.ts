/**
 * Sends one PUT to a presigned URL. Uses XMLHttpRequest, because `fetch` does not report the progress of an upload.
 */
import type { PutClient, PutOptions, PutTarget } from '../upload/platform.ts';
import { PutError, refusedPut } from '../upload/put-error.ts';
import { assertReadable } from './source.ts';

/**
 * An upload that made no progress for this long counts as broken, although its connection is still open. The time
 * begins with the first byte. Before that, a PUT may have to wait for a connection, because a browser opens only a few
 * to one host.
 */
const IDLE_TIMEOUT_MS = 60_000;

/** The headers that a browser sets itself. A page may not set them. */
const SET_BY_BROWSER = ['content-length', 'host'];

export function createPutClient(): PutClient<Blob> {
  return {
    async put(target, body, options) {
      const { status, responseText } = await send(target, body, options);
      if (status >= 200 && status < 300) return;
      if (status !== 0) throw refusedPut(status, responseText);
      await assertReadable(body);
      throw new PutError(
        // A browser does not tell a page whether the connection broke or CORS forbade the request.
        `no answer of S3: the connection broke, or the bucket's CORS rules do not allow ${location.origin}`,
      );
    },
    // The browser opens and closes the connections itself.
    close() {},
  };
}

/** Resolves with the request after its end. The status of a request without an answer is 0. */
function send(
  { url, headers }: PutTarget,
  body: Blob,
  { signal, onSent }: PutOptions,
): Promise<XMLHttpRequest> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const request = new XMLHttpRequest();
    const end = () => request.abort();
    let idle: ReturnType<typeof setTimeout> | undefined;
    let sentBytes = 0;
    const sent = (bytes: number) => {
      clearTimeout(idle);
      idle = setTimeout(end, IDLE_TIMEOUT_MS);
      onSent(bytes - sentBytes);
      sentBytes = bytes;
    };
    request.upload.onprogress = ({ loaded }) => sent(loaded);
    request.onloadend = () => {
      clearTimeout(idle);
      signal.removeEventListener('abort', end);
      if (signal.aborted) reject(signal.reason);
      else resolve(request);
    };
    signal.addEventListener('abort', end);
    request.open('PUT', url);
    for (const [name, value] of Object.entries(headers)) {
      if (!SET_BY_BROWSER.includes(name.toLowerCase())) request.setRequestHeader(name, value);
    }
    request.send(body);
  });
}
