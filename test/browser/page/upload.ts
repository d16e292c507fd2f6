import { call } from './file-service.ts';
import { hashPieces } from './hash.ts';
import { put } from './put.ts';

/** What an upload is doing, and which part of that is done: 0 to 1. */
export type Watch = (doing: 'hashing' | 'uploading', done: number) => void;

/** @throws Error with a reason that a person can read */
export async function upload(file: File, watch: Watch): Promise<'uploaded' | 'already there'> {
  const share = (bytes: number) => (file.size === 0 ? 1 : bytes / file.size);
  const [md5 = ''] = await hashPieces(file, Number.POSITIVE_INFINITY, (bytes) =>
    watch('hashing', share(bytes)),
  );
  const answer = await call('CreatePresignedUpload', {
    filename: file.name,
    // Browsers know few types; the empty string stands for the others.
    mimeType: file.type || 'application/octet-stream',
    md5,
    size: String(file.size),
  });
  if (answer.type === 'UPLOAD_TYPE_EXISTING') return 'already there';
  await put(answer, file, (bytes) => watch('uploading', share(bytes)));
  return 'uploaded';
}
