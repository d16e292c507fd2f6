import type { Presigned } from './file-service.ts';
import type { Progress } from './hash.ts';

/** Explanations of S3's error codes, because not every server sends a message with them. */
const MEANINGS: Record<string, string> = {
  BadDigest: 'the bytes that arrived are not those that were hashed: did the file change?',
  EntityTooLarge: 'the file is too large for a single PUT',
};

/**
 * Sends one PUT directly to S3. Uses XMLHttpRequest, because `fetch` does not report the progress of an
 * upload.
 */
export async function put(presigned: Presigned, body: Blob, progress: Progress): Promise<void> {
  const { status, responseText } = await send(presigned, body, progress);
  if (status === 0) throw new Error(await reasonOfNoResponse(body));
  if (status !== 200) throw new Error(`S3 refused the upload: ${meaningOf(responseText) || status}`);
}

function send(
  { presignedUrl, requiredHeaders }: Presigned,
  body: Blob,
  progress: Progress,
): Promise<XMLHttpRequest> {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open('PUT', presignedUrl);
    for (const [name, value] of Object.entries(requiredHeaders)) {
      // Browsers set Content-Length themselves, and do not let a page set it.
      if (name.toLowerCase() !== 'content-length') request.setRequestHeader(name, value);
    }
    request.upload.addEventListener('progress', ({ loaded }) => progress(loaded));
    request.addEventListener('loadend', () => resolve(request));
    request.send(body);
  });
}

function meaningOf(errorDocument: string): string {
  const error = new DOMParser().parseFromString(errorDocument, 'application/xml');
  const code = error.querySelector('Code')?.textContent ?? '';
  return `${code} ${MEANINGS[code] ?? error.querySelector('Message')?.textContent ?? ''}`.trim();
}

/** A browser does not tell a page why a request has no answer, so this names the possible reasons. */
async function reasonOfNoResponse(body: Blob): Promise<string> {
  const isReadable = await body
    .slice(0, 1)
    .arrayBuffer()
    .then(() => true)
    .catch(() => false);
  if (!isReadable) return 'the file changed or went away since it was chosen: choose it again';
  return `no answer: the connection broke, the URL expired, or the bucket's CORS rules do not allow ${location.origin}`;
}
