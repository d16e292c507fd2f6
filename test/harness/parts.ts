import { createHash, randomBytes } from 'node:crypto';
import type { Client } from '@connectrpc/connect';
import type { FileService, PresignedPart } from '../../gen/files/v1/file_service_pb.ts';
import { type PutAnswer, putTo } from './put.ts';

type Files = Client<typeof FileService>;

/** A file that is cut into parts, as a client has it at the start of a multipart upload. */
export interface CutFile {
  filename: string;
  mimeType: string;
  size: bigint;
  partMd5s: Uint8Array[];
  /** Part n is `parts[n - 1]`, because part numbers start at 1. */
  parts: Buffer[];
}

/** A file of `sizes.length` parts with random bytes, so that no other test has uploaded the same content. */
export function cutFile(filename: string, sizes: readonly number[]): CutFile {
  const parts = sizes.map((size) => Buffer.alloc(size, randomBytes(64)));
  return {
    filename,
    mimeType: 'video/mp4',
    size: BigInt(sizes.reduce((sum, size) => sum + size, 0)),
    partMd5s: parts.map((part) => createHash('md5').update(part).digest()),
    parts,
  };
}

/** The URL of one part, with the headers that its PUT must send. */
export async function partUrl(files: Files, s3Key: string, number: number): Promise<PresignedPart> {
  const [part] = (await files.createPresignedParts({ s3Key, partNumbers: [number] })).parts;
  if (part === undefined) throw new Error(`there is no part ${number}`);
  return part;
}

export async function putPart(
  files: Files,
  s3Key: string,
  file: CutFile,
  number: number,
): Promise<PutAnswer> {
  const { presignedUrl, requiredHeaders } = await partUrl(files, s3Key, number);
  const bytes = file.parts[number - 1];
  if (bytes === undefined) throw new Error(`there is no part ${number}`);
  return putTo(presignedUrl, requiredHeaders, bytes);
}

/** Sends the parts with these numbers, in this order. @throws when S3 refuses a part */
export async function putParts(
  files: Files,
  s3Key: string,
  file: CutFile,
  numbers: readonly number[],
): Promise<void> {
  for (const number of numbers) {
    const { status, body } = await putPart(files, s3Key, file, number);
    if (status !== 200) throw new Error(`part ${number}: ${status} ${body}`);
  }
}
