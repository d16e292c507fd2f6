import type { CallOptions, Client } from '@connectrpc/connect';
import { type File, FileState } from '../../gen/files/v1/file_pb.ts';
import type { FileService } from '../../gen/files/v1/file_service_pb.ts';
import type { ProgressMeter } from './progress.ts';
import type { PutClient } from './put.ts';
import type { Retry } from './retry.ts';
import type { OpenSource } from './source.ts';
import { UploadError } from './upload-error.ts';

/** One file on its way, however it goes. */
export interface Transfer {
  client: Client<typeof FileService>;
  source: OpenSource;
  filename: string;
  mimeType: string;
  /** Parts at once. */
  concurrency: number;
  puts: PutClient;
  retry: Retry;
  progress: ProgressMeter;
  signal: AbortSignal;
}

export interface Transferred {
  file: File;
  /** It was there before this was asked. */
  existing: boolean;
}

/** The longest that the service lets a call take. */
const CALL_TIMEOUT_MS = 30_000;

export function callOptions(signal: AbortSignal): CallOptions {
  return { signal, timeoutMs: CALL_TIMEOUT_MS };
}

/** The PUT of a range, counted as it goes. */
export async function* sending(
  { source, progress }: Transfer,
  { start, end }: { start: number; end: number },
): AsyncGenerator<Uint8Array> {
  const count = progress.sending(start);
  for await (const piece of source.read(start, end)) {
    yield piece;
    count(piece.length);
  }
}

/** The file, of which S3 has said that it is there. */
export async function readyFile({ client, retry, signal }: Transfer, s3Key: string): Promise<File> {
  const { file } = await retry(signal, () => client.getFile({ s3Key }, callOptions(signal)));
  if (file?.state === FileState.READY) return file;
  throw new UploadError('STORAGE_REFUSED', `S3 took the bytes of ${s3Key} and does not show them`);
}
