import type { Call } from './call.ts';
import type { PendingFile } from './file.ts';
import { storageUnavailable } from './file-error.ts';
import type { FileStore } from './ports/file-store.ts';
import type { MultipartStore } from './ports/multipart-store.ts';
import type { StoredPart } from './rules/parts.ts';
import { type VerifyPorts, verifyObject } from './verify-object.ts';

export interface OpenUploadPorts extends VerifyPorts {
  store: Pick<FileStore, 'findUpload' | 'setUploadId'> & VerifyPorts['store'];
  multipart: Pick<MultipartStore, 'begin' | 'uploadsOf' | 'parts' | 'abort'>;
}

export interface OpenUpload {
  uploadId: string;
  /** The parts that S3 holds. */
  parts: StoredPart[];
}

/**
 * Returns the upload in S3 that belongs to a pending file: the upload that the row names, or an upload that a
 * crashed call began before it could commit the id, or a new upload. All concurrent calls get the same
 * upload.
 *
 * Returns `undefined` if the file is no longer pending. The caller must then read the row again.
 *
 * @throws FileError DATABASE_UNAVAILABLE, STORAGE_UNAVAILABLE or STORAGE_REFUSED. If an upload was begun before the
 *   error, the next call finds it.
 */
export async function openUpload(
  call: Call,
  ports: OpenUploadPorts,
  file: PendingFile,
): Promise<OpenUpload | undefined> {
  const { store, multipart } = ports;
  const { s3Key } = file;
  let committed: string | undefined;
  for (;;) {
    const pending = await store.findUpload(call, s3Key);
    if (pending === undefined) return undefined;
    const before = pending.uploadId;
    if (before !== undefined) {
      const parts = await multipart.parts(call, s3Key, before);
      if (parts !== undefined) return { uploadId: before, parts };
      // S3 no longer knows the upload. Either the upload was completed and the response was lost, or S3 has lost
      // the upload.
      const seen = await verifyObject(call, ports, file);
      if (seen.outcome === 'verified') return undefined;
      // The upload may be complete, but S3 refuses to tell. So the call fails: with a new upload, the client would
      // have to send all parts again.
      if (seen.outcome === 'refused') throw seen.error;
      // S3 has just begun this upload, or listed it. Another one would not help: a call began 265 uploads until its
      // deadline, in front of a server that knew none of them.
      if (before === committed) {
        throw storageUnavailable('unusable answer', new Error('S3 does not know its own multipart upload'));
      }
    }
    // S3 may list an upload for a while after it has been aborted.
    const unnamed = (await multipart.uploadsOf(call, s3Key)).find((id) => id !== before);
    const uploadId = unnamed ?? (await multipart.begin(call, s3Key, file.mimeType));
    if (await store.setUploadId(call, s3Key, uploadId, before)) {
      committed = uploadId;
      continue;
    }
    // A concurrent call has committed another id, or the file is no longer pending. If this call began the upload,
    // no row will ever name it, so it is aborted.
    if (unnamed === undefined) await multipart.abort(call, s3Key, uploadId);
  }
}

/**
 * Begins the upload of a file that this same call created. S3 cannot hold an upload or an object of the file yet,
 * so this function does not search S3 for them.
 */
export async function beginUpload(
  call: Call,
  ports: OpenUploadPorts,
  file: PendingFile,
): Promise<OpenUpload | undefined> {
  const { store, multipart } = ports;
  const { s3Key } = file;
  const uploadId = await multipart.begin(call, s3Key, file.mimeType);
  if (await store.setUploadId(call, s3Key, uploadId, undefined)) return { uploadId, parts: [] };
  await multipart.abort(call, s3Key, uploadId);
  return openUpload(call, ports, file);
}
