import type { Call } from '../call.ts';
import { partOf } from '../deadline.ts';
import type { PendingFile, ReadyFile } from '../file.ts';
import { FileError } from '../file-error.ts';
import { parseFields } from '../parse-fields.ts';
import type { Listed } from '../ports/file-reads.ts';
import type { FileStore } from '../ports/file-store.ts';
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
 * Bound on the size of a page's files, in the encoding that needs the most bytes. It exists because the server
 * holds an answer in memory until the client reads it, and because many clients accept no message above 4 MiB.
 * The file that crosses the bound still belongs to the page, so a page may be longer by one file.
 */
const PAGE_MAX_BYTES = 1024 ** 2;

/**
 * The bytes of an encoded file that are about equal for every file: in JSON, the field names, quotes, numbers,
 * times and the MD5.
 */
const FILE_FIXED_BYTES = 300;

/**
 * How many pending uploads a first page verifies, newest first. The sweeper (`../maintenance/sweeper.ts`) verifies the
 * rest.
 */
const PENDING_VERIFICATIONS_MAX = 300;

/**
 * The number of verifications of one call that run at the same time, each with one request to S3. With 32,
 * the 300 verifications of 20 ms each take 0.2 s. More requests would only wait, because a single user gets
 * at most 32 of the S3 client's 64 sockets.
 */
const PENDING_VERIFICATIONS_CONCURRENCY = 32;

/** The share of the call's remaining time for the verifications. The rest is for reading the page once more. */
const VERIFICATIONS_SHARE = 0.8;

/**
 * Returns a page of READY files. A call for the first page also verifies the user's pending uploads, so that a
 * file is listed as soon as S3 has accepted its PUT. Without pending uploads this costs nothing, because the
 * statement that reads the page reads the pending uploads too.
 *
 * @throws FileError INVALID_PAGE_SIZE, INVALID_PAGE_TOKEN, INVALID_FILENAME, DATABASE_UNAVAILABLE
 */
export function listFiles(ports: Ports) {
  return async (call: Call, request: Request): Promise<Page> => {
    const { pageSize, start } = parseFields({
      pageSize: () => parsePageSize(request.pageSize),
      start: () => parseStart(call.userId, request),
    });
    const { scope, after } = start;
    // One file more than the page needs shows whether a next page exists.
    const query = { filenamePrefix: scope.filenamePrefix, after, limit: pageSize + 1 };

    let listed = await ports.store.list(call, query, PENDING_VERIFICATIONS_MAX);
    const { pending } = listed;
    if (pending.length > 0 && (await verifyPending(call, ports, pending))) {
      listed = await ports.store.list(call, query, 0);
    }
    return toPage(listed, pageSize, scope);
  };
}

/** The token is checked after the prefix, because a token is valid for one prefix only. */
function parseStart(userId: string, { filenamePrefix, pageToken: token }: Request) {
  const scope: PageScope = { userId, filenamePrefix: parseFilenamePrefix(filenamePrefix) };
  return { scope, after: token === '' ? undefined : parsePageToken(token, scope) };
}

function parsePageSize(pageSize: number): number {
  if (pageSize < 0) {
    throw new FileError('INVALID_PAGE_SIZE', 'page_size must not be negative', { field: 'page_size' });
  }
  return pageSize === 0 ? PAGE_SIZE_DEFAULT : Math.min(pageSize, PAGE_SIZE_MAX);
}

/**
 * Verifies each upload. If S3 or the store fails, this does not throw, so the list shows the files that are
 * already READY.
 *
 * @returns whether a file became READY
 */
async function verifyPending(call: Call, ports: VerifyPorts, pending: PendingFile[]): Promise<boolean> {
  const verification = { ...call, deadline: partOf(call.deadline, VERIFICATIONS_SHARE) };
  let arrived = false;
  const queue = pending.values();
  const verifyNext = async () => {
    for (const file of queue) {
      const seen = await verifyObject(verification, ports, file);
      arrived ||= seen.outcome === 'verified';
    }
  };
  const workers = Array.from(
    { length: Math.min(PENDING_VERIFICATIONS_CONCURRENCY, pending.length) },
    verifyNext,
  );
  // A worker ends at its first error, so a failing S3 gets at most 32 requests, and the log gets one line.
  const failed = (await Promise.allSettled(workers)).find((worker) => worker.status === 'rejected');
  if (failed !== undefined) ports.observer.stepFailed('verify pending uploads', failed.reason);
  return arrived;
}

function toPage({ ready, examinedTo }: Listed, pageSize: number, scope: PageScope): Page {
  const files = ready.slice(0, Math.min(pageSize, filesThatFit(ready)));
  // If the page has all files that the store returned, the next page starts after the last file that the
  // store examined. If the store examined all files, `examinedTo` is undefined and no page follows. If the
  // page has only some of the returned files, the next page starts after the last file of this page.
  const last = files.length < ready.length ? files.at(-1) : examinedTo;
  return { files, nextPageToken: last === undefined ? '' : pageToken(last, scope) };
}

/** @returns how many files, counted from the first, fit into a page; at least 1 if there are files */
function filesThatFit(files: readonly ReadyFile[]): number {
  let bytes = 0;
  for (const [i, file] of files.entries()) {
    if (bytes >= PAGE_MAX_BYTES) return i;
    bytes += encodedBytesMax(file);
  }
  return files.length;
}

/**
 * Returns an upper bound of the file's encoded size, without encoding the file. A UTF-16 unit of a name becomes
 * at most three bytes of UTF-8. In names and types, JSON must escape only quotes and backslashes, and each of
 * these becomes two bytes. Keys need no escapes.
 */
function encodedBytesMax({ s3Key, filename, mimeType, etag }: ReadyFile): number {
  return FILE_FIXED_BYTES + s3Key.length + 3 * filename.length + 2 * mimeType.length + 2 * etag.length;
}
