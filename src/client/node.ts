/**
 * `src/client` is the client package: it uploads files of any size, with retries and resumption. `node.ts` is its
 * entry for Node. `upload` has the steps of an upload, and `node` has what only Node can do.
 *
 * Code that runs in the service does not belong here. These files import only each other, the generated
 * code, and the peer dependencies, because the package is packed without the rest of the repository.
 */
import type { Client } from '@connectrpc/connect';
import type { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { createPutClient } from './node/put.ts';
import { openSource, type UploadSource } from './node/source.ts';
import type { Platform } from './upload/platform.ts';
import { type UploadOptions, type UploadResult, uploadFileOn } from './upload/upload-file.ts';

export { FileService } from '../../gen/files/v1/file_service_pb.ts';
export type { Progress } from './upload/progress.ts';
export { UploadError, type UploadErrorReason } from './upload/upload-error.ts';
export type { UploadOptions, UploadResult, UploadSource };

const node: Platform<UploadSource, AsyncIterable<Uint8Array>> = { openSource, createPutClient };

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
export function uploadFile(
  client: Client<typeof FileService>,
  source: UploadSource,
  options: UploadOptions = {},
): Promise<UploadResult> {
  return uploadFileOn(node, client, source, options);
}
