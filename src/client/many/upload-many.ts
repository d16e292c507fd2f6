/**
 * `src/client/many` uploads many files at once: it asks the service for many files in one call, shares the connections
 * to S3, and bounds what is under way.
 *
 * The steps of one upload do not belong here: each file goes through `src/client/upload`.
 */
import type { Client } from '@connectrpc/connect';
import type { FileService } from '../../../gen/files/v1/file_service_pb.ts';
import { MULTIPART_FROM_BYTES } from '../upload/upload-file.ts';
import { createGate } from './gate.ts';
import type { UploadItem, UploadManyOptions, UploadManySummary } from './options.ts';
import { type ManyPlatform, startRun } from './run.ts';
import { survey } from './survey.ts';

/** The memory for files that are under way. */
const WINDOW_BYTES = 32 * 1024 ** 2;

/**
 * A small file counts as this much, so that at most 256 files are under way: enough to fill the connections while
 * others wait for the service, and far below the service's limit of 1,000 pending uploads.
 */
const FILE_BYTES_MIN = WINDOW_BYTES / 256;

/** A larger file is streamed through buffers, and counts as this much. */
const FILE_BYTES_MAX = WINDOW_BYTES / 8;

/** Two multipart uploads run at once: one file is hashed while the other is sent. */
const MULTIPART_BYTES = WINDOW_BYTES / 2;

/** `uploadMany` of any platform. See the function of that name in the entry of the platform. */
export async function uploadManyOn<Source, Body, Item extends UploadItem<Source>>(
  platform: ManyPlatform<Source, Body>,
  client: Client<typeof FileService>,
  items: Iterable<Item> | AsyncIterable<Item>,
  options: UploadManyOptions<Item>,
): Promise<UploadManySummary> {
  options.signal?.throwIfAborted();
  const startMs = performance.now();
  const run = startRun(platform, client, options);
  const found = survey(items, run.sizeOf).getReader();
  // The read that is under way then ends. An iterator that hangs is not waited for.
  run.signal.addEventListener('abort', () => void found.cancel().catch(() => {}));
  const window = createGate(WINDOW_BYTES);
  const uploads = new Set<Promise<void>>();
  try {
    for (let next = await found.read(); !next.done; next = await found.read()) {
      const leave = await window.enter(windowBytes(next.value.sizeBytes, options), run.signal);
      const upload = run.upload(next.value).finally(() => {
        uploads.delete(upload);
        leave();
      });
      uploads.add(upload);
    }
  } catch (error) {
    run.stop(error);
  }
  await Promise.all(uploads);
  run.close();
  run.signal.throwIfAborted();
  return { ...run.summary(), seconds: (performance.now() - startMs) / 1_000 };
}

function windowBytes<Item>(
  sizeBytes: number,
  { multipartFromBytes = MULTIPART_FROM_BYTES }: UploadManyOptions<Item>,
): number {
  if (sizeBytes >= multipartFromBytes) return MULTIPART_BYTES;
  return Math.min(Math.max(sizeBytes, FILE_BYTES_MIN), FILE_BYTES_MAX);
}
