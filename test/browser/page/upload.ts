import { call } from './file-service.ts';
import { hashPieces } from './hash.ts';
import { put } from './put.ts';
import { uploadMultipart } from './upload-multipart.ts';

/** Called with the present step of an upload, and with the share of the step that is done, from 0 to 1. */
export type Watch = (doing: 'hashing' | 'uploading', done: number) => void;

export type Outcome = 'uploaded' | 'already there';

/**
 * @param partUnitBytes the unit in the rule of CreateMultipartUpload. A larger file becomes a multipart
 * upload.
 * @throws Error with a reason that a person can read
 */
export async function upload(file: File, partUnitBytes: number, watch: Watch): Promise<Outcome> {
  // Browsers know few MIME types. For every other type, `file.type` is empty.
  const mimeType = file.type || 'application/octet-stream';
  if (file.size > partUnitBytes) return uploadMultipart(file, mimeType, partUnitBytes, watch);

  const share = (bytes: number) => (file.size === 0 ? 1 : bytes / file.size);
  const [md5 = ''] = await hashPieces(file, partUnitBytes, (bytes) => watch('hashing', share(bytes)));
  const asked = { filename: file.name, mimeType, md5, size: String(file.size) };
  const answer = await call('CreatePresignedUpload', asked);
  if (answer.type === 'UPLOAD_TYPE_EXISTING') return 'already there';
  await put(answer, file, (bytes) => watch('uploading', share(bytes)));
  return 'uploaded';
}
