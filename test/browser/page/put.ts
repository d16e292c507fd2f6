import type { Presigned } from './file-service.ts';
import type { Progress } from './hash.ts';

/** What to say of S3's codes: not every server sends a text with them. */
const MEANINGS: Record<string, string> = {
  BadDigest: 'the bytes that arrived are not those that were hashed: did the file change?',
  EntityTooLarge: 'the file is too large for a single PUT',
};

/** One PUT straight to S3. `fetch` tells nothing of how much was sent, so it is an XMLHttpRequest. */
export async function put(presigned: Presigned, body: Blob, progress: Progress): Promise<void> {
  const { status, responseText } = await send(presigned, body, progress);
  if (status === 0) throw new Error(await reasonOfSilence(body));
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
      // Browsers send it by themselves, and let no page set it.
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

/** A browser does not tell a page why it may not see an answer. */
async function reasonOfSilence(body: Blob): Promise<string> {
  const isReadable = await body
    .slice(0, 1)
    .arrayBuffer()
    .then(() => true)
    .catch(() => false);
  if (!isReadable) return 'the file changed or went away since it was chosen: choose it again';
  return `no answer: the line broke, the URL expired, or the bucket's CORS rules do not allow ${location.origin}`;
}
