import type { Call } from '../call.ts';
import type { ReadyFile } from '../file.ts';
import { FileError } from '../file-error.ts';
import { parseFields } from '../parse-fields.ts';
import type { Listed } from '../ports/file-reads.ts';
import type { FileStore } from '../ports/file-store.ts';
import { parseFilenamePrefix } from '../rules/filename.ts';
import { type PageScope, pageToken, parsePageToken } from '../rules/page-token.ts';
import { type VerifyUploadsPorts, verifyUploads } from '../verify-uploads.ts';

interface Request {
  pageSize: number;
  pageToken: string;
  filenamePrefix: string;
}

interface Page {
  files: ReadyFile[];
  nextPageToken: string;
  /**
   * The number of pending uploads that this call did not verify. Their bytes may have arrived, and then their files are
   * missing from the page. If there are more than PENDING_VERIFICATIONS_MAX pending uploads, the true number may be
   * larger.
   */
  unverifiedUploads: number;
}

interface Ports extends VerifyUploadsPorts {
  store: Pick<FileStore, 'list'> & VerifyUploadsPorts['store'];
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
 * The maximum number of pending uploads that a call for the first page verifies, newest first. It limits the requests
 * to S3 that one call can cause. It is larger than the default limits of a user's pending uploads together (1,000 of
 * MAX_PENDING_UPLOADS and 100 of MAX_PENDING_MULTIPART_UPLOADS), because uploads whose URLs have expired do not count
 * towards these limits. The sweeper (the background job that verifies or expires pending uploads) verifies the rest.
 */
const PENDING_VERIFICATIONS_MAX = 2_000;

/**
 * Returns a page of READY files. A call for the first page also verifies the user's pending uploads, so that a
 * file is listed as soon as S3 has accepted its PUT. If there are no pending uploads, this costs no further
 * statement, because the statement that reads the page reads the pending uploads too.
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

    // One upload more than the call verifies shows whether there are more.
    let listed = await ports.store.list(call, query, PENDING_VERIFICATIONS_MAX + 1);
    const { pending } = listed;
    if (pending.length === 0) return { ...toPage(listed, pageSize, scope), unverifiedUploads: 0 };

    const verified = await verifyUploads(call, ports, pending.slice(0, PENDING_VERIFICATIONS_MAX));
    const left = Math.max(0, pending.length - PENDING_VERIFICATIONS_MAX);
    const hasArrived = [...verified.outcomes.values()].some(({ outcome }) => outcome === 'verified');
    if (hasArrived) listed = await ports.store.list(call, query, 0);
    return { ...toPage(listed, pageSize, scope), unverifiedUploads: verified.unverified + left };
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

function toPage(
  { ready, examinedTo }: Listed,
  pageSize: number,
  scope: PageScope,
): Omit<Page, 'unverifiedUploads'> {
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
