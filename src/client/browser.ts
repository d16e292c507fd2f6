/** The entry of the client package for browsers. */
import type { Client } from '@connectrpc/connect';
import type { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { createPutClient } from './browser/put.ts';
import { findSource, type UploadSource } from './browser/source.ts';
import type { UploadItem as SourceItem, UploadManyOptions, UploadManySummary } from './many/options.ts';
import { uploadManyOn } from './many/upload-many.ts';
import type { Platform } from './upload/platform.ts';
import { type UploadOptions, type UploadResult, uploadFileOn } from './upload/upload-file.ts';

export type { File } from '../../gen/files/v1/file_pb.ts';
export {
  type CreatePresignedUploadResponse,
  FileService,
  UploadType,
} from '../../gen/files/v1/file_service_pb.ts';
export { md5Of } from './browser/md5-of.ts';
export type { ItemRetry, ManyProgress, UploadOutcome } from './many/options.ts';
export type { Progress } from './upload/progress.ts';
export type { RetryReport } from './upload/retry.ts';
export { UploadError, type UploadErrorReason } from './upload/upload-error.ts';
export type { UploadManyOptions, UploadManySummary, UploadOptions, UploadResult, UploadSource };
export type UploadItem = SourceItem<UploadSource>;

const browser: Platform<UploadSource, Blob> = { find: findSource, createPutClient };

/**
 * Uploads a Blob, a File or bytes, and resolves when the file is READY (stored, and verified by the service). It hashes
 * the file in Web Workers, creates the upload, sends the bytes that S3 does not have, and verifies the result. Content
 * that is stored already is not sent again. A call can be repeated after any failure, and after the page was left or
 * loaded again. A large file is sent in parts, and the repeated call then sends only the missing parts.
 *
 * @param client a Connect client of any transport, such as `createConnectTransport` of `@connectrpc/connect-web`
 * @throws UploadError, the ConnectError of the service, or the reason of the signal
 */
export function uploadFile(
  client: Client<typeof FileService>,
  source: UploadSource,
  options: UploadOptions = {},
): Promise<UploadResult> {
  return uploadFileOn(browser, client, source, options);
}

/**
 * Uploads many files, each as `uploadFile` does, and resolves when the outcome of each file is known. One call to the
 * service creates the uploads of many files. An error of one file does not end the others: it is the outcome of this
 * file.
 *
 * @throws the reason of the signal, an error of the iterator, or an error that a callback has thrown
 */
export function uploadMany<Item extends UploadItem>(
  client: Client<typeof FileService>,
  items: Iterable<Item> | AsyncIterable<Item>,
  options: UploadManyOptions<Item> = {},
): Promise<UploadManySummary> {
  return uploadManyOn(browser, client, items, options);
}
