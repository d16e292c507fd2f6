import type { Call } from '../call.ts';
import { FileError, fileNotFound, notMultipart } from '../file-error.ts';
import { type OpenUploadPorts, openUpload } from '../open-upload.ts';
import { parseFields } from '../parse-fields.ts';
import type { FileStore } from '../ports/file-store.ts';
import type { PresignedParts, Presigner } from '../ports/presigner.ts';
import { isMultipart } from '../rules/fingerprint.ts';
import { bytesOfPart, checkPartsExist, parsePartNumbers } from '../rules/part-plan.ts';
import { md5OfPart } from '../rules/parts.ts';
import { parseS3Key, type S3Key } from '../rules/s3-key.ts';

interface Ports extends OpenUploadPorts {
  store: Pick<FileStore, 'find' | 'renewUpload'> & OpenUploadPorts['store'];
  presigner: Pick<Presigner, 'presignParts'>;
}

/**
 * Returns URLs for some parts of an upload that was begun. Each URL accepts exactly the announced bytes of
 * its part.
 *
 * @throws FileError INVALID_S3_KEY, INVALID_PARTS, FILE_NOT_FOUND, UPLOAD_COMPLETE, *_UNAVAILABLE, STORAGE_REFUSED
 */
export function createPresignedParts(ports: Ports) {
  return async (
    call: Call,
    request: { s3Key: string; partNumbers: readonly number[] },
  ): Promise<PresignedParts> => {
    const { s3Key, partNumbers } = parseFields({
      s3Key: () => parseS3Key(request.s3Key),
      partNumbers: () => parsePartNumbers(request.partNumbers),
    });
    const upload = await ports.store.renewUpload(call, s3Key);
    if (upload === undefined) throw await explainMissingUpload(call, ports, s3Key);
    checkPartsExist(partNumbers, upload.parts);
    const uploadId = upload.uploadId ?? (await openUpload(call, ports, upload.file))?.uploadId;
    if (uploadId === undefined) throw await explainMissingUpload(call, ports, s3Key);

    const parts = partNumbers.map((number) => ({
      number,
      md5: md5OfPart(upload.parts, number).toString('base64'),
      size: bytesOfPart(upload.parts, number),
    }));
    return ports.presigner.presignParts({ s3Key, uploadId, parts });
  };
}

/** Explains why a file has no multipart upload that accepts parts. */
async function explainMissingUpload(call: Call, ports: Ports, s3Key: S3Key): Promise<FileError> {
  const file = await ports.store.find(call, s3Key);
  if (file === undefined) return fileNotFound(s3Key);
  if (!isMultipart(file.fingerprint)) return notMultipart(s3Key);
  // A pending file comes here if its upload has expired, or if the file was READY and S3 has lost its object.
  // Both are reported as not found, because only CreateMultipartUpload can begin the upload again.
  if (file.state === 'pending') return fileNotFound(s3Key);
  return new FileError('UPLOAD_COMPLETE', `the file ${JSON.stringify(s3Key)} is already complete`, {
    metadata: { s3_key: s3Key },
  });
}
