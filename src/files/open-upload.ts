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
  /** What S3 holds of it. */
  parts: StoredPart[];
}

/**
 * The upload in S3 that belongs to a pending file: the one that its row names,
 * one that a call began which died before it could write that down, or a new one.
 * However many ask at once, all get the same.
 *
 * `undefined`: the file is pending no longer; read again.
 *
 * @throws FileError *_UNAVAILABLE; what was begun by then is found the next time
 */
export async function openUpload(
  ports: OpenUploadPorts,
  file: PendingFile,
  deadline: Deadline,
): Promise<OpenUpload | undefined> {
  const { store, multipart } = ports;
  const { s3Key } = file;
  for (;;) {
    const held = await store.findUpload(file, deadline);
    if (held === undefined) return undefined;
    const before = held.uploadId;
    if (before !== undefined) {
      const parts = await multipart.parts(s3Key, before, deadline);
      if (parts !== undefined) return { uploadId: before, parts };
      // S3 knows it no longer: it was completed and nobody heard of it, or it is lost.
      if ((await verifyObject(ports, file, deadline)).outcome === 'verified') return undefined;
    }
    const [left] = await multipart.uploadsOf(s3Key, deadline);
    const uploadId = left ?? (await multipart.begin(s3Key, file.mimeType, deadline));
    if (await store.setUploadId(file, uploadId, before, deadline)) continue;
    // A competitor has bound another, or the file is gone: nobody will ever name this one.
    if (left === undefined) await multipart.abort(s3Key, uploadId, deadline);
  }
}

/** Of a file that this very call has made: nothing of it can be in S3 yet. */
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
