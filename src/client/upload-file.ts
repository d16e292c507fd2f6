/**
 * `src/client` is the client package: it uploads one file of any size from Node, with retries and
 * resumption. `uploadFile` is its whole interface; the other files of this folder are its parts.
 *
 * Code that runs in the service does not belong here. These files import only each other, the generated
 * code, and the peer dependencies, because the package is packed without the rest of the repository.
 */
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
  /**
   * The name of the file. Default: the last name of the path, or the name of a File. Required for every other
   * source.
   */
  filename?: string;
  /** `type/subtype`. Default: the type of a Blob, else `application/octet-stream`. */
  mimeType?: string;
  /**
   * A file of this size or more is sent as a multipart upload. Default 128 MiB, because a file of that size has
   * two parts, and an upload of a single part can be neither sent in parallel nor resumed. At most 5 GiB, S3's
   * limit for one PUT. All clients of a user should use the same value: if one client sends some content with
   * one PUT, and another sends the same content as a multipart upload, the user has two files.
   */
  multipartFromBytes?: number;
  /**
   * The number of parts that are sent at once. Default 4. Each takes about 1 MB of memory, whatever its size,
   * and one connection.
   */
  concurrency?: number;
  /** How long a failing step is retried, in milliseconds from its first failure. Default two minutes. */
  retryForMs?: number;
  /** Called at each change of phase, and otherwise at most ten times a second. No figure ever falls. */
  onProgress?: (progress: Progress) => void;
  /**
   * Aborts the upload with the reason of the signal. The parts that were sent stay in S3, and another call for
   * the same content sends only the other parts.
   */
  signal?: AbortSignal;
}

export interface UploadResult {
  /** The READY file. */
  file: File;
  /**
   * True when the file existed before this call. Then no byte was sent, and `file` may have the filename and the
   * MIME type of the earlier upload.
   */
  existing: boolean;
  bytesSent: number;
  /** Bytes that an earlier, interrupted upload of the same content sent. */
  bytesResumed: number;
}

const MULTIPART_FROM_BYTES = 128 * 1024 ** 2;
const CONCURRENCY = 4;
const RETRY_FOR_MS = 120_000;

/**
 * Uploads a file, and resolves when the file is READY. It hashes the file, creates the upload, sends the
 * bytes that S3 does not have, and verifies the result. Content that is stored already is not sent again. A
 * call can be repeated after any failure and after a crash; it then sends only the missing bytes.
 *
 * When the promise settles, every socket, timer, thread and file that this call opened is closed.
 *
 * @param client a Connect client of any transport. Its interceptors set the identity of the user.
 * @throws UploadError, the ConnectError of the service, Node's error for an unreadable file, or the reason of
 * the signal
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
  // A multipart upload needs at least one byte, so an empty file is always sent with one PUT.
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
    'options.filename is required, because bytes, a Blob and an open file have no name',
  );
}

function explained(error: PutError): UploadError {
  const cause = { cause: error };
  if (error.code === 'BadDigest') {
    return new UploadError(
      'SOURCE_CHANGED',
      `S3 received other bytes than were hashed: ${error.message}`,
      cause,
    );
  }
  const isRefused = error.status !== undefined && error.status < 500;
  return new UploadError(isRefused ? 'STORAGE_REFUSED' : 'STORAGE_UNREACHABLE', error.message, cause);
}
