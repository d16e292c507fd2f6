import type { Call } from '../call.ts';
import type { ReadyFile, UserFile } from '../file.ts';
import { contentMismatch, fileNotFound, notMultipart, partsMismatch, partsMissing } from '../file-error.ts';
import type { FileStore } from '../ports/file-store.ts';
import type { MultipartStore } from '../ports/multipart-store.ts';
import { isMultipart } from '../rules/fingerprint.ts';
import { allPartNumbers } from '../rules/part-plan.ts';
import { compareParts } from '../rules/parts.ts';
import { parseS3Key } from '../rules/s3-key.ts';
import { type VerifyPorts, verifyObject } from '../verify-object.ts';

interface Ports extends VerifyPorts {
  store: Pick<FileStore, 'find' | 'renewUpload'> & VerifyPorts['store'];
  multipart: Pick<MultipartStore, 'parts' | 'complete'>;
}

/**
 * Completes a multipart upload. S3 lists the parts that it holds, each part is compared with its announced
 * size and MD5 (under SSE-KMS, with its size only), and the file becomes READY only after the complete object
 * was verified.
 *
 * A call is safe to repeat: wherever an earlier call failed, S3 holds either the upload or the complete object.
 *
 * @throws FileError INVALID_S3_KEY, FILE_NOT_FOUND, UPLOAD_INCOMPLETE, CONTENT_MISMATCH, *_UNAVAILABLE,
 *   STORAGE_REFUSED
 */
export function completeMultipartUpload(ports: Ports) {
  return async (call: Call, key: string): Promise<ReadyFile> => {
    const s3Key = parseS3Key(key);
    const file = await ports.store.find(call, s3Key);
    if (file === undefined) throw fileNotFound(s3Key);
    if (file.state === 'ready') return file.isFresh ? file : verifyCompleted(call, ports, file);
    if (!isMultipart(file.fingerprint)) throw notMultipart(s3Key);

    // Renews the lifetime, so that no sweeper (`../maintenance/sweeper.ts`) aborts the upload while S3 assembles the
    // object.
    const upload = await ports.store.renewUpload(call, s3Key);
    if (upload === undefined) return verifyCompleted(call, ports, file);
    const { uploadId, parts: announced } = upload;
    const stored = uploadId && (await ports.multipart.parts(call, s3Key, uploadId));
    // The row names no upload yet, or S3 does not know the upload that the row names: it was completed and the response
    // was lost, or the upload itself is lost. In each case, the object in S3 decides.
    if (!uploadId || !stored) return verifyCompleted(call, ports, file, allPartNumbers(announced));

    const { right, missing, wrong } = compareParts(stored, announced);
    if (wrong.length > 0) {
      ports.observer.partsMismatch(call, s3Key, wrong);
      throw partsMismatch(s3Key, wrong);
    }
    // The object can be complete although its upload lacks parts: a concurrent call has completed another upload under
    // the key, or the server lists parts of a completed upload incompletely.
    if (missing.length > 0) return verifyCompleted(call, ports, file, missing);
    try {
      await ports.multipart.complete(call, s3Key, uploadId, right);
    } catch (error) {
      // A concurrent call may have completed the upload, or S3 completed it and the response was lost.
      const seen = await verifyObject(call, ports, file);
      if (seen.outcome === 'verified') return seen.file;
      throw error;
    }
    return verifyCompleted(call, ports, file, allPartNumbers(announced));
  };
}

/**
 * Verifies the object in S3 and makes the file READY.
 *
 * @param missingParts the parts that the client must upload if S3 has no object. `undefined` if no row of a
 *   pending upload was renewed: the error for a missing object is then FILE_NOT_FOUND.
 */
async function verifyCompleted(
  call: Call,
  ports: Ports,
  file: UserFile,
  missingParts?: number[],
): Promise<ReadyFile> {
  const seen = await verifyObject(call, ports, file);
  switch (seen.outcome) {
    case 'verified':
      return seen.file;
    case 'mismatch':
      throw contentMismatch(file.s3Key);
    case 'deleted':
      throw fileNotFound(file.s3Key);
    case 'refused':
      throw seen.error;
    case 'missing':
      if (missingParts === undefined) throw fileNotFound(file.s3Key);
      throw partsMissing(file.s3Key, missingParts);
  }
}
