import type { Client } from '@connectrpc/connect';
import type { File } from '../../gen/files/v1/file_pb.ts';
import type { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { uploadMultipart } from './multipart/upload-multipart.ts';
import { createProgressMeter, type Progress } from './progress.ts';
import { createPutClient, PutError } from './put.ts';
import { createRetry } from './retry.ts';
import { openSource, type UploadSource } from './source.ts';
import type { Transferred } from './transfer.ts';
import { UploadError } from './upload-error.ts';
import { uploadWhole } from './upload-whole.ts';

export { FileService } from '../../gen/files/v1/file_service_pb.ts';
export { UploadError, type UploadErrorReason } from './upload-error.ts';
export type { Progress, UploadSource };

export interface UploadOptions {
  /** What the file is called. Default: the last name of the path, or a File's own; else it is required. */
  filename?: string;
  /** `type/subtype`. Default: a Blob's own, else `application/octet-stream`. */
  mimeType?: string;
  /**
   * A file of this size or more goes in parts. Default 128 MiB: of fewer parts than two there is nothing to send at
   * once, and little to resume. At most 5 GiB, what S3 takes in one PUT. All clients of a user should have the same:
   * the same content with one PUT and in parts is two files.
   */
  multipartFromBytes?: number;
  /** Parts that are sent at once. Default 4. Each takes about 1 MB of memory and a connection, whatever its size. */
  concurrency?: number;
  /** How long a step that fails is tried again, in milliseconds from its first failure. Default two minutes. */
  retryForMs?: number;
  /** Told at each change of phase, and else at most ten times a second. No figure in it ever falls. */
  onProgress?: (progress: Progress) => void;
  /** Ends it at any point, with the signal's reason. What was sent stays in S3: calling again goes on from there. */
  signal?: AbortSignal;
}

export interface UploadResult {
  /** READY. */
  file: File;
  /** It was there before this call: not a byte was sent. Its name and MIME type may be those of that time. */
  existing: boolean;
  bytesSent: number;
  /** What an upload of this content that did not end had sent before. */
  bytesResumed: number;
}

const MULTIPART_FROM_BYTES = 128 * 1024 ** 2;
const CONCURRENCY = 4;
const RETRY_FOR_MS = 120_000;

/**
 * Uploads a file, and resolves when it is READY. Hashes it, asks the service, sends what S3 does not hold yet, and sees
 * to it that it is there; a content that is there already is not sent again. Safe to repeat after any failure and after
 * a crash: it then sends what is missing.
 *
 * When it settles, no socket, timer, thread or file of it is open.
 *
 * @param client of any transport; its interceptors say who the user is
 * @throws UploadError, ConnectError as the service answered, Node's own of a file that cannot be read, or the signal's reason
 */
export async function uploadFile(
  client: Client<typeof FileService>,
  source: UploadSource,
  options: UploadOptions = {},
): Promise<UploadResult> {
  const { multipartFromBytes = MULTIPART_FROM_BYTES, concurrency = CONCURRENCY } = options;
  const { retryForMs = RETRY_FOR_MS, signal = new AbortController().signal } = options;
  signal.throwIfAborted();
  await using opened = await openSource(source);
  using puts = createPutClient();
  const progress = createProgressMeter(opened.sizeBytes, options.onProgress);
  const transfer = {
    client,
    source: opened,
    filename: options.filename ?? opened.filename ?? unnamed(),
    mimeType: options.mimeType ?? opened.mimeType ?? 'application/octet-stream',
    concurrency,
    puts,
    retry: createRetry(retryForMs),
    progress,
    signal,
  };
  // An upload in parts has a part, so it has a byte.
  const upload = opened.sizeBytes >= Math.max(multipartFromBytes, 1) ? uploadMultipart : uploadWhole;
  const { file, existing } = await upload(transfer).catch(async (error: unknown): Promise<Transferred> => {
    signal.throwIfAborted();
    if (!(error instanceof PutError)) throw error;
    await opened.assertUnchanged();
    throw explained(error);
  });
  progress.enter('done');
  const { bytesSent, bytesResumed } = progress.now;
  return { file, existing, bytesSent, bytesResumed };
}

function unnamed(): never {
  throw new UploadError(
    'SOURCE_UNUSABLE',
    'bytes, a Blob and an open file have no name: give options.filename',
  );
}

function explained(error: PutError): UploadError {
  const cause = { cause: error };
  if (error.code === 'BadDigest') {
    return new UploadError('SOURCE_CHANGED', `S3 got other bytes than were hashed: ${error.message}`, cause);
  }
  const isRefused = error.status !== undefined && error.status < 500;
  return new UploadError(isRefused ? 'STORAGE_REFUSED' : 'STORAGE_UNREACHABLE', error.message, cause);
}
