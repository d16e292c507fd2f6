import type { Deadline } from './deadline.ts';
import type { MultipartStore, ObjectStore, Tombstone } from './ports.ts';

export interface RemovePorts {
  objects: Pick<ObjectStore, 'remove'>;
  multipart: Pick<MultipartStore, 'uploadsOf' | 'abort'>;
}

/**
 * Removes everything that S3 holds for a file: the object, and the parts of unfinished uploads. A part that
 * S3 is receiving at this moment may survive the abort of its upload (Amazon S3 API Reference,
 * "AbortMultipartUpload"), so the sweeper calls this function again.
 *
 * @returns whether S3 had no unfinished upload of the file before this call
 */
export async function removeBytes(
  { objects, multipart }: RemovePorts,
  { s3Key, isMultipart }: Tombstone,
  deadline: Deadline,
): Promise<boolean> {
  await objects.remove(s3Key, deadline);
  return !isMultipart || (await abortUploads({ multipart }, s3Key, deadline)) === 0;
}

/**
 * Aborts all unfinished uploads under the key.
 *
 * @returns how many uploads there were
 */
export async function abortUploads(
  { multipart }: Pick<RemovePorts, 'multipart'>,
  s3Key: string,
  deadline: Deadline,
): Promise<number> {
  const uploads = await multipart.uploadsOf(s3Key, deadline);
  for (const uploadId of uploads) await multipart.abort(s3Key, uploadId, deadline);
  return uploads.length;
}
