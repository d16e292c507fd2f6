/** The steps that an upload with one PUT and a multipart upload share. */
import type { Client } from '@connectrpc/connect';
import { type File, FileState } from '../../../gen/files/v1/file_pb.ts';
import type { FileService } from '../../../gen/files/v1/file_service_pb.ts';
import type { FileCalls } from './file-calls.ts';
import type { OpenSource, PutTarget, Range } from './platform.ts';
import type { ProgressMeter } from './progress.ts';
import type { Retry } from './retry.ts';
import { UploadError } from './upload-error.ts';

/** One upload of one file: its source, its options and the clients that it uses. */
export interface Transfer {
  client: Client<typeof FileService>;
  calls: FileCalls;
  source: OpenSource<unknown>;
  filename: string;
  mimeType: string;
  /** Parts that are sent at the same time. */
  concurrency: number;
  /** Sends a range of the source with one PUT. */
  put: (target: PutTarget, range: Range, signal: AbortSignal) => Promise<void>;
  retry: Retry;
  inTurn: InTurn;
  progress: ProgressMeter;
  signal: AbortSignal;
}

/**
 * Runs `run` after all earlier uploads of the same content in the same call of `uploadMany`. The later upload then
 * finds the file of the first, and sends nothing.
 *
 * @param content the MD5 of the content
 */
export type InTurn = <Result>(content: string, run: () => Promise<Result>) => Promise<Result>;

export interface Transferred {
  file: File;
  /** True when the file existed before this upload began. */
  existing: boolean;
}

/**
 * Asks the service for the file after the upload. A file is READY when S3 has confirmed its bytes.
 * @throws UploadError STORAGE_REFUSED when the file is not READY
 */
export async function readyFile({ calls, source, retry, signal }: Transfer, s3Key: string): Promise<File> {
  const file = await retry(signal, () => calls.get(s3Key, signal));
  if (file?.state !== FileState.READY) {
    throw new UploadError('STORAGE_REFUSED', `S3 accepted the bytes of ${s3Key}, but the file is not READY`);
  }
  // The caller may remove its copy of the file now, so a wrong answer must not pass for success.
  if (file.s3Key !== s3Key || file.size !== BigInt(source.sizeBytes)) {
    throw new Error(`the service returned another file for ${s3Key}: ${file.s3Key} of ${file.size} bytes`);
  }
  return file;
}
