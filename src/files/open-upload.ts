import type { Deadline } from './deadline.ts';
import type { PendingFile } from './file.ts';
import type { FileStore, MultipartStore } from './ports.ts';
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
 * `undefined`: the file is no longer pending; the caller reads the row again.
 *
 * @throws FileError *_UNAVAILABLE; the next call finds an upload that was begun before the error
 */
export async function openUpload(
  ports: OpenUploadPorts,
  file: PendingFile,
  deadline: Deadline,
): Promise<OpenUpload | undefined> {
  const { store, multipart } = ports;
  const { s3Key } = file;
  for (;;) {
    const pending = await store.findUpload(file, deadline);
    if (pending === undefined) return undefined;
    const before = pending.uploadId;
    if (before !== undefined) {
      const parts = await multipart.parts(s3Key, before, deadline);
      if (parts !== undefined) return { uploadId: before, parts };
      // S3 no longer knows the upload: it was completed and the response was lost, or the upload itself is
      // lost.
      if ((await verifyObject(ports, file, deadline)).outcome === 'verified') return undefined;
    }
    const [unnamed] = await multipart.uploadsOf(s3Key, deadline);
    const uploadId = unnamed ?? (await multipart.begin(s3Key, file.mimeType, deadline));
    if (await store.setUploadId(file, uploadId, before, deadline)) continue;
    // A concurrent call has committed another id, or the file is gone. No row will ever name this upload.
    if (unnamed === undefined) await multipart.abort(s3Key, uploadId, deadline);
  }
}

/**
 * Begins the upload of a file that this very call created. S3 cannot hold anything for the file yet, so S3 is
 * not searched.
 */
export async function beginUpload(
  ports: OpenUploadPorts,
  file: PendingFile,
  deadline: Deadline,
): Promise<OpenUpload | undefined> {
  const uploadId = await ports.multipart.begin(file.s3Key, file.mimeType, deadline);
  if (await ports.store.setUploadId(file, uploadId, undefined, deadline)) return { uploadId, parts: [] };
  await ports.multipart.abort(file.s3Key, uploadId, deadline);
  return openUpload(ports, file, deadline);
}
