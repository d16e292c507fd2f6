/**
 * `src/client/upload` has the steps of an upload that are the same in Node and in a browser: hash, ask the
 * service, send what S3 does not hold, verify, and repeat what failed.
 *
 * Code that only one platform can run does not belong here. It is behind the interface of `platform.ts`.
 */
import type { Client } from '@connectrpc/connect';
import type { File } from '../../../gen/files/v1/file_pb.ts';
import type { FileService } from '../../../gen/files/v1/file_service_pb.ts';
import { type FileCalls, singleCalls } from './file-calls.ts';
import { uploadMultipart } from './multipart/upload-multipart.ts';
import type { FoundSource, OpenSource, Platform, PutClient } from './platform.ts';
import { createProgressMeter, type Progress } from './progress.ts';
import { PutError } from './put-error.ts';
import { assertLength } from './put-length.ts';
import { createRetry, type RetryReport } from './retry.ts';
import type { InTurn, Transfer, Transferred } from './transfer.ts';
import { UploadError } from './upload-error.ts';
import { uploadWhole } from './upload-whole.ts';

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
  /** Called before each retry of a call or of a PUT. */
  onRetry?: (retry: RetryReport) => void;
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
   * True when the file existed before this call. Then `file` may have the filename and the MIME type of the earlier
   * upload. Usually no byte was sent: `bytesSent` is above 0 only if S3 refused bytes whose MD5 came from a cache that
   * was wrong.
   */
  existing: boolean;
  bytesSent: number;
  /** Bytes that an earlier, interrupted upload of the same content sent. */
  bytesResumed: number;
}

export const MULTIPART_FROM_BYTES = 128 * 1024 ** 2;
const CONCURRENCY = 4;
const RETRY_FOR_MS = 120_000;

/** Implements `uploadFile` for every platform. The function `uploadFile` in `../node.ts` documents it for callers. */
export async function uploadFileOn<Source, Body>(
  platform: Platform<Source, Body>,
  client: Client<typeof FileService>,
  source: Source,
  options: UploadOptions,
): Promise<UploadResult> {
  options.signal?.throwIfAborted();
  const puts = platform.createPutClient();
  try {
    const session = { client, calls: singleCalls(client), puts, inTurn: runAtOnce };
    return await uploadInSession(session, await platform.find(source), options);
  } finally {
    puts.close();
  }
}

const runAtOnce: InTurn = (_, run) => run();

/** What the uploads of one call of `uploadMany` share. A call of `uploadFile` has a session of its own. */
export interface Session<Body> {
  client: Client<typeof FileService>;
  calls: FileCalls;
  puts: PutClient<Body>;
  inTurn: InTurn;
}

/** Uploads one source, with the connections and calls of the session. */
export async function uploadInSession<Body>(
  session: Session<Body>,
  found: FoundSource<Body>,
  options: UploadOptions,
): Promise<UploadResult> {
  const opened = await found.open();
  try {
    return await uploadOpened(session, opened, options);
  } finally {
    await opened.close();
  }
}

async function uploadOpened<Body>(
  { puts, ...session }: Session<Body>,
  source: OpenSource<Body>,
  options: UploadOptions,
): Promise<UploadResult> {
  const { multipartFromBytes = MULTIPART_FROM_BYTES, concurrency = CONCURRENCY } = options;
  const { retryForMs = RETRY_FOR_MS, signal = new AbortController().signal } = options;
  const progress = createProgressMeter(source.sizeBytes, options.onProgress);
  const transfer: Transfer = {
    ...session,
    source,
    filename: options.filename ?? source.filename ?? unnamed(),
    mimeType: options.mimeType ?? source.mimeType ?? 'application/octet-stream',
    concurrency,
    async put(target, range, signal) {
      assertLength(target, range);
      await puts.put(target, source.body(range), { signal, onSent: progress.sending(range.start) });
    },
    retry: createRetry(retryForMs, options.onRetry),
    progress,
    signal,
  };
  // A multipart upload needs at least one byte, so an empty file is always sent with one PUT.
  const upload = source.sizeBytes >= Math.max(multipartFromBytes, 1) ? uploadMultipart : uploadWhole;
  const { file, existing } = await upload(transfer).catch(async (error: unknown): Promise<Transferred> => {
    signal.throwIfAborted();
    // S3 received other bytes than the MD5 says. If the MD5 came from a cache, it can be wrong: the file can have
    // changed without a change of its size and times. So the file is hashed and uploaded once more.
    if (!isBadDigest(error) || source.forgetMd5s?.() !== true) throw await explained(error, source);
    return upload(transfer).catch(async (again: unknown) => {
      throw await explained(again, source);
    });
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

function isBadDigest(error: unknown): boolean {
  return error instanceof PutError && error.code === 'BadDigest';
}

/** Returns the error that the caller gets: a PutError becomes an UploadError. @throws UploadError SOURCE_CHANGED */
async function explained(error: unknown, source: OpenSource<unknown>): Promise<unknown> {
  if (!(error instanceof PutError)) return error;
  await source.assertUnchanged();
  const cause = { cause: error };
  if (isBadDigest(error)) {
    return new UploadError(
      'SOURCE_CHANGED',
      `S3 received other bytes than were hashed: ${error.message}`,
      cause,
    );
  }
  const isRefused = error.status !== undefined && error.status < 500;
  return new UploadError(isRefused ? 'STORAGE_REFUSED' : 'STORAGE_UNREACHABLE', error.message, cause);
}
