/** The steps that an upload with one PUT and a multipart upload share. */
import type { CallOptions, Client } from '@connectrpc/connect';
import { type File, FileState } from '../../../gen/files/v1/file_pb.ts';
import type { FileService } from '../../../gen/files/v1/file_service_pb.ts';
import type { OpenSource, PutTarget, Range } from './platform.ts';
import type { ProgressMeter } from './progress.ts';
import type { Retry } from './retry.ts';
import { UploadError } from './upload-error.ts';

/** One upload of one file: its source, its options and the clients that it uses. */
export interface Transfer {
  client: Client<typeof FileService>;
  source: OpenSource<unknown>;
  filename: string;
  mimeType: string;
  /** Parts that are sent at the same time. */
  concurrency: number;
  /** Sends a range of the source with one PUT. */
  put: (target: PutTarget, range: Range, signal: AbortSignal) => Promise<void>;
  retry: Retry;
  progress: ProgressMeter;
  signal: AbortSignal;
}

export interface Transferred {
  file: File;
  /** True when the file existed before this call. */
  existing: boolean;
}

/** The time-out of each call: the longest that the service allows. */
const CALL_TIMEOUT_MS = 30_000;

export function callOptions(signal: AbortSignal): CallOptions {
  return { signal, timeoutMs: CALL_TIMEOUT_MS };
}

/**
 * Asks the service for the file after the upload. A file is READY when S3 has confirmed its bytes.
 * @throws UploadError STORAGE_REFUSED when the file is not READY
 */
export async function readyFile({ client, retry, signal }: Transfer, s3Key: string): Promise<File> {
  const { file } = await retry(signal, () => client.getFile({ s3Key }, callOptions(signal)));
  if (file?.state === FileState.READY) return file;
  throw new UploadError('STORAGE_REFUSED', `S3 accepted the bytes of ${s3Key}, but the file is not READY`);
}
