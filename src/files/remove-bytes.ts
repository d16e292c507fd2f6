import type { Call } from './call.ts';
import type { MultipartStore } from './ports/multipart-store.ts';
import type { ObjectStore } from './ports/object-store.ts';
import type { Tombstone } from './ports/transitions.ts';
import type { S3Key } from './rules/s3-key.ts';

export interface RemovePorts {
  objects: Pick<ObjectStore, 'remove'>;
  multipart: Pick<MultipartStore, 'uploadsOf' | 'abort'>;
}

/**
 * Removes everything that S3 holds for a file: the object, and the parts of unfinished uploads. A part that
 * S3 is receiving at this moment may survive the abort of its upload (Amazon S3 API Reference,
 * "AbortMultipartUpload"), so the sweeper (`maintenance/sweeper.ts`) calls this function again.
 *
 * @returns whether S3 had no unfinished upload of the file before this call
 */
export async function removeBytes(
  call: Call,
  { objects, multipart }: RemovePorts,
  tombstone: Tombstone,
): Promise<boolean> {
  await objects.remove(call, tombstone.s3Key);
  return removeParts(call, { multipart }, tombstone);
}

/** Removes the parts of unfinished uploads only. Returns the same as `removeBytes`. */
export async function removeParts(
  call: Call,
  ports: Pick<RemovePorts, 'multipart'>,
  { s3Key, isMultipart }: Tombstone,
): Promise<boolean> {
  return !isMultipart || (await abortUploads(call, ports, s3Key)) === 0;
}

/**
 * Aborts all unfinished uploads under the key.
 *
 * @returns how many uploads there were
 */
export async function abortUploads(
  call: Call,
  { multipart }: Pick<RemovePorts, 'multipart'>,
  s3Key: S3Key,
): Promise<number> {
  const uploads = await multipart.uploadsOf(call, s3Key);
  for (const uploadId of uploads) await multipart.abort(call, s3Key, uploadId);
  return uploads.length;
}
