import type { Deadline } from './deadline.ts';
import type { MultipartStore, ObjectStore, Tombstone } from './ports.ts';

export interface RemovePorts {
  objects: Pick<ObjectStore, 'remove'>;
  multipart: Pick<MultipartStore, 'uploadsOf' | 'abort'>;
}

/**
 * Removes whatever S3 holds of a file: the object, and parts of uploads that are
 * under way. A part that is being received at this moment may survive its upload's
 * abort (Amazon S3 API Reference, "AbortMultipartUpload"), so it is done again.
 *
 * @returns whether S3 had no upload of it any more
 */
export async function removeBytes(
  { objects, multipart }: RemovePorts,
  { s3Key, isMultipart }: Tombstone,
  deadline: Deadline,
): Promise<boolean> {
  await objects.remove(s3Key, deadline);
  return !isMultipart || (await abortUploads({ multipart }, s3Key, deadline)) === 0;
}

/** @returns how many there were */
export async function abortUploads(
  { multipart }: Pick<RemovePorts, 'multipart'>,
  s3Key: string,
  deadline: Deadline,
): Promise<number> {
  const uploads = await multipart.uploadsOf(s3Key, deadline);
  for (const uploadId of uploads) await multipart.abort(s3Key, uploadId, deadline);
  return uploads.length;
}
