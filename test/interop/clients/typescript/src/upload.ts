import { createHash } from 'node:crypto';
import { openAsBlob } from 'node:fs';
import { UploadType } from '../gen/es/files/v1/file_service_pb.ts';
import type { Files, MultipartUpload, Upload, Url } from './connection.ts';

/** The size of all parts but the last, for files of up to 10,000 such parts. */
const PART_BYTES = 64 * 1024 * 1024;

/** Uploads the file, unless this user already has it. No call is needed after the PUT. */
export async function upload(
  files: Files,
  path: string,
  filename: string,
  mimeType: string,
): Promise<Upload> {
  const blob = await openAsBlob(path);
  const md5 = (await md5Of(blob)).toString('hex');
  const answer = await files.createPresignedUpload({ filename, mimeType, md5, size: BigInt(blob.size) });
  if (answer.type === UploadType.NEW) await put(answer, blob);
  return answer;
}

/** Uploads the file in parts, or only the parts that an interrupted upload left. */
export async function uploadParts(
  files: Files,
  path: string,
  filename: string,
  mimeType: string,
): Promise<MultipartUpload> {
  const blob = await openAsBlob(path);
  const partMd5s: Uint8Array[] = [];
  for (let from = 0; from < blob.size; from += PART_BYTES) {
    partMd5s.push(await md5Of(blob.slice(from, from + PART_BYTES)));
  }
  const answer = await files.createMultipartUpload({ filename, mimeType, size: BigInt(blob.size), partMd5s });
  if (answer.type !== UploadType.NEW) return answer;
  const { s3Key, missingPartNumbers, partSize } = answer;
  const { parts } = await files.createPresignedParts({ s3Key, partNumbers: missingPartNumbers });
  for (const part of parts) {
    const from = (part.partNumber - 1) * Number(partSize);
    await put(part, blob.slice(from, from + Number(partSize)));
  }
  await files.completeMultipartUpload({ s3Key });
  return answer;
}

/** Sends the bytes with the required headers. @throws when S3 refuses them */
export async function put({ presignedUrl, requiredHeaders }: Url, body: Blob): Promise<void> {
  const headers = new Headers(requiredHeaders);
  // `fetch` sends the length of a Blob by itself.
  headers.delete('Content-Length');
  const response = await fetch(presignedUrl, { method: 'PUT', headers, body });
  if (!response.ok) throw new Error(`PUT: ${response.status}: ${await response.text()}`);
}

async function md5Of(blob: Blob): Promise<Buffer> {
  const hash = createHash('md5');
  for await (const bytes of blob.stream()) hash.update(bytes);
  return hash.digest();
}
