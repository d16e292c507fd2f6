import { call } from './file-service.ts';
import { hashPieces, type Progress } from './hash.ts';
import { put } from './put.ts';
import type { Outcome, Watch } from './upload.ts';

/**
 * Concurrent PUTs of one upload. A browser opens six connections to a host; the rest of the page needs some.
 */
const PUTS_AT_ONCE = 4;

/**
 * Sends the parts that S3 does not have. A user who chooses the file again after a failure, even on another
 * day, resumes the upload.
 *
 * @throws Error with a reason that a person can read
 */
export async function uploadMultipart(
  file: File,
  mimeType: string,
  partUnitBytes: number,
  watch: Watch,
): Promise<Outcome> {
  // The published rule of CreateMultipartUpload in the proto.
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
  // The request has no ETags, because a page cannot read them. The service gets them from S3.
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
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [number, body] = next;
      // Requested just before its use, because the URLs of a large file would expire while they wait.
      const { parts } = await call('CreatePresignedParts', { s3Key, partNumbers: [number] });
      await put(parts[0], body, (bytes) => {
        sentBytes.set(number, bytes);
        progress([...sentBytes.values()].reduce((sum, each) => sum + each, 0));
      });
    }
  };
  const stopAll = (error: unknown) => {
    waiting.length = 0;
    throw error;
  };
  const workers = Array.from({ length: PUTS_AT_ONCE }, () => worker().catch(stopAll));
  // Running PUTs may end, so that a resumed upload does not have to send their parts again.
  await Promise.allSettled(workers);
  await Promise.all(workers);
}
