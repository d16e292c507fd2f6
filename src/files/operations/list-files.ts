import { type Deadline, partOf } from '../deadline.ts';
import type { PendingFile, ReadyFile } from '../file.ts';
import { FileError } from '../file-error.ts';
import type { FileStore, Listed } from '../ports.ts';
import { parseFilenamePrefix } from '../rules/filename.ts';
import { type PageScope, pageToken, parsePageToken } from '../rules/page-token.ts';
import { type VerifyPorts, verifyObject } from '../verify-object.ts';

interface Request {
  pageSize: number;
  pageToken: string;
  filenamePrefix: string;
}

interface Page {
  files: ReadyFile[];
  nextPageToken: string;
}

interface Ports extends VerifyPorts {
  store: Pick<FileStore, 'list'> & VerifyPorts['store'];
}

export const PAGE_SIZE_DEFAULT = 100;
export const PAGE_SIZE_MAX = 1_000;

/**
 * Of the files of a page, encoded in whichever way costs most. An answer that nobody reads is kept in memory, and many
 * clients take no message above 4 MiB. A file ends the page that it is too much for, so a page may have one more.
 */
const PAGE_MAX_BYTES = 1024 ** 2;

/** What is of the same length in every file: in JSON, its names of fields, quotes, numbers, times and MD5. */
const FILE_FIXED_BYTES = 300;

/** How many pending uploads a first page looks at, newest first. The rest is the sweeper's. */
const PENDING_VERIFICATIONS_MAX = 300;

/** At once, against S3: 300 looks of 20 ms each then take 0.2 s. More would only queue behind the client's sockets. */
const PENDING_VERIFICATIONS_CONCURRENCY = 32;

/** Of the time left; the rest is for reading the page once more. */
const VERIFICATIONS_SHARE = 0.8;

/**
 * A page of READY files. The first page looks for the caller's pending uploads,
 * so that a PUT which S3 has accepted is in the very next list. Who has nothing
 * pending pays nothing for that: it is the same single statement.
 *
 * @throws FileError INVALID_PAGE_SIZE, INVALID_PAGE_TOKEN, INVALID_FILENAME, DATABASE_UNAVAILABLE
 */
export function listFiles(ports: Ports) {
  return async (userId: string, request: Request, deadline: Deadline): Promise<Page> => {
    const filenamePrefix = parseFilenamePrefix(request.filenamePrefix);
    const pageSize = parsePageSize(request.pageSize);
    const scope: PageScope = { userId, filenamePrefix };
    const after = request.pageToken === '' ? undefined : parsePageToken(request.pageToken, scope);
    // One more than asked for tells whether there is a next page.
    const query = { ...scope, after, limit: pageSize + 1 };

    let listed = await ports.store.list(query, PENDING_VERIFICATIONS_MAX, deadline);
    const { pending } = listed;
    if (pending.length > 0 && (await anyHasArrived(ports, pending, partOf(deadline, VERIFICATIONS_SHARE)))) {
      listed = await ports.store.list(query, 0, deadline);
    }
    return toPage(listed, pageSize, scope);
  };
}

function parsePageSize(pageSize: number): number {
  if (pageSize < 0) {
    throw new FileError('INVALID_PAGE_SIZE', 'page_size must not be negative', { field: 'page_size' });
  }
  return pageSize === 0 ? PAGE_SIZE_DEFAULT : Math.min(pageSize, PAGE_SIZE_MAX);
}

/** Looks at each upload; a list does not fail for it, it goes on with what is known. */
async function anyHasArrived(
  ports: VerifyPorts,
  pending: PendingFile[],
  deadline: Deadline,
): Promise<boolean> {
  let arrived = false;
  const queue = pending.values();
  const verifyNext = async () => {
    for (const file of queue) {
      const seen = await verifyObject(ports, file, deadline);
      arrived ||= seen.outcome === 'verified';
    }
  };
  const lanes = Array.from(
    { length: Math.min(PENDING_VERIFICATIONS_CONCURRENCY, pending.length) },
    verifyNext,
  );
  // A lane ends at its first fault: where S3 fails, 32 questions are enough, and one word of it.
  const failed = (await Promise.allSettled(lanes)).find((lane) => lane.status === 'rejected');
  if (failed !== undefined) ports.observer.storageFailed('look for pending uploads', failed.reason);
  return arrived;
}

function toPage({ ready, examinedTo }: Listed, pageSize: number, scope: PageScope): Page {
  const files = ready.slice(0, Math.min(pageSize, filesThatFit(ready)));
  // Where all that were found are shown, the list goes on behind what was examined; else behind what is shown.
  const last = files.length < ready.length ? files.at(-1) : examinedTo;
  return { files, nextPageToken: last === undefined ? '' : pageToken(last, scope) };
}

/** @returns how many of the first fill a page, or all; at least one, where there is one */
function filesThatFit(files: readonly ReadyFile[]): number {
  let bytes = 0;
  for (const [i, file] of files.entries()) {
    if (bytes >= PAGE_MAX_BYTES) return i;
    bytes += encodedBytesMax(file);
  }
  return files.length;
}

/**
 * An upper bound that costs nothing. A UTF-16 unit is at most three bytes of UTF-8; of what JSON escapes, names and types
 * can have quotes and backslashes alone, which become two. Keys need no escape.
 */
function encodedBytesMax({ s3Key, filename, mimeType, etag }: ReadyFile): number {
  return FILE_FIXED_BYTES + s3Key.length + 3 * filename.length + 2 * mimeType.length + 2 * etag.length;
}
