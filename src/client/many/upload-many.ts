/**
 * `src/client/many` uploads many files at once: it asks the service for many files in one call, shares the connections
 * to S3, and limits how many files are under way.
 *
 * The steps of one upload do not belong here: each file goes through `src/client/upload`.
 */
import type { Client } from '@connectrpc/connect';
import type { FileService } from '../../../gen/files/v1/file_service_pb.ts';
import type { Platform } from '../upload/platform.ts';
import { MULTIPART_FROM_BYTES } from '../upload/upload-file.ts';
import { createGate } from './gate.ts';
import type { UploadItem, UploadManyOptions, UploadManySummary } from './options.ts';
import { startRun } from './run.ts';
import { survey } from './survey.ts';

/** The most memory that the files under way may take together. `windowBytes` says how much each file takes. */
const WINDOW_BYTES = 32 * 1024 ** 2;

/**
 * A smaller file counts as this number of bytes, so at most 256 files are under way: 32 that are sent, and the files of
 * the calls to the service. With 512 files, 1,000 files of 20 kB took as long, also at a round trip of 20 ms, and 3 %
 * more CPU, because each collection of garbage copies what is under way. The service allows a user 1,000 pending
 * uploads by default.
 */
const FILE_BYTES_MIN = WINDOW_BYTES / 256;

/**
 * A larger file counts as this number of bytes, because it is streamed through buffers and never whole in memory. With
 * eight files of 5 MiB under way instead of 32, each call to the service had one file, and 100 such files took 8 % longer.
 */
const FILE_BYTES_MAX = WINDOW_BYTES / 32;

/**
 * Eight files of this size or more are under way at once. If a PUT fails, all of its bytes are sent again, and the more
 * PUTs share a slow connection, the longer each of them takes.
 */
const LARGE_FROM_BYTES = 16 * 1024 ** 2;
const LARGE_BYTES = WINDOW_BYTES / 8;

/** Half of WINDOW_BYTES, so that two multipart uploads run at once: one file is hashed while the other is sent. */
const MULTIPART_BYTES = WINDOW_BYTES / 2;

/** Implements `uploadMany` for every platform. The function `uploadMany` in `../node.ts` documents it for callers. */
export async function uploadManyOn<Source, Body, Item extends UploadItem<Source>>(
  platform: Platform<Source, Body>,
  client: Client<typeof FileService>,
  items: Iterable<Item> | AsyncIterable<Item>,
  options: UploadManyOptions<Item>,
): Promise<UploadManySummary> {
  options.signal?.throwIfAborted();
  const startMs = performance.now();
  const run = startRun(platform, client, options);
  const found = survey(items, run.find).getReader();
  // The cancellation ends a `read` that waits for an iterator that hangs.
  run.signal.addEventListener('abort', () => void found.cancel().catch(() => {}));
  const window = createGate(WINDOW_BYTES);
  const uploads = new Set<Promise<void>>();
  try {
    for (let next = await found.read(); !next.done; next = await found.read()) {
      const leave = await window.enter(windowBytes(next.value.found.sizeBytes, options), run.signal);
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
  if (sizeBytes >= LARGE_FROM_BYTES) return LARGE_BYTES;
  return Math.min(Math.max(sizeBytes, FILE_BYTES_MIN), FILE_BYTES_MAX);
}
