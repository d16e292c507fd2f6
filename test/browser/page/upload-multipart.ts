import { call } from './file-service.ts';
import { hashPieces, type Progress } from './hash.ts';
import { put } from './put.ts';
import type { Outcome, Watch } from './upload.ts';

/** Of one upload. Browsers open six connections to a host, and the rest of the page may want some. */
const PUTS_AT_ONCE = 4;

/**
 * Sends what S3 does not have yet, so choosing the file again after a failure, or on another day, goes on where it
 * stopped.
 *
 * @throws Error with a reason that a person can read
 */
export async function uploadMultipart(
  file: File,
  mimeType: string,
  partUnitBytes: number,
  watch: Watch,
): Promise<Outcome> {
  // The published rule: see CreateMultipartUpload.
  const partBytes = partUnitBytes * Math.ceil(file.size / (10_000 * partUnitBytes));
  const partMd5s = await hashPieces(file, partBytes, (bytes) => watch('hashing', bytes / file.size));
  const upload = { filename: file.name, mimeType, size: String(file.size), partMd5s };
  const { type, s3Key, missingPartNumbers = [] } = await call('CreateMultipartUpload', upload);
  if (type === 'UPLOAD_TYPE_EXISTING') return 'already there';

  const bodies = missingPartNumbers.map((number): [number, Blob] => [
    number,
    file.slice((number - 1) * partBytes, number * partBytes),
  ]);
  const missingBytes = bodies.reduce((sum, [, { size }]) => sum + size, 0);
  await putParts(s3Key, bodies, (bytes) => watch('uploading', 1 - (missingBytes - bytes) / file.size));
  // Without a list of ETags, which a page could not read: the service asks S3 for it.
  await call('CompleteMultipartUpload', { s3Key });
  return 'uploaded';
}

async function putParts(
  s3Key: string,
  bodies: readonly (readonly [number: number, body: Blob])[],
  progress: Progress,
): Promise<void> {
  const waiting = [...bodies];
  const sentBytes = new Map<number, number>();
  const lane = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [number, body] = next;
      // Only now, or the URLs of a large file would expire before their turn.
      const { parts } = await call('CreatePresignedParts', { s3Key, partNumbers: [number] });
      await put(parts[0], body, (bytes) => {
        sentBytes.set(number, bytes);
        progress([...sentBytes.values()].reduce((sum, each) => sum + each, 0));
      });
    }
  };
  const stopAll = (fault: unknown) => {
    waiting.length = 0;
    throw fault;
  };
  const lanes = Array.from({ length: PUTS_AT_ONCE }, () => lane().catch(stopAll));
  // What is under way may end: it will not have to be sent again.
  await Promise.allSettled(lanes);
  await Promise.all(lanes);
}
