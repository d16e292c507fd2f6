/**
 * `src/client` is the client package: it uploads files of any size, with retries and resumption. `node.ts` is its
 * entry for Node, and `browser.ts` its entry for browsers. `upload` has the steps of an upload, `many` uploads many files
 * at once, and `node` and `browser` have what only one of the two can do.
 *
 * Code that runs in the service does not belong here. These files import only each other, the generated code, and the
 * dependencies in `src/client/package.json`, because the package is packed without the rest of the repository.
 */
import type { Agent } from 'node:http';
import type { Client } from '@connectrpc/connect';
import type { FileService } from '../../gen/files/v1/file_service_pb.ts';
import { createGate } from './many/gate.ts';
import type {
  UploadManyOptions as ManyOptions,
  UploadItem as SourceItem,
  UploadManySummary,
} from './many/options.ts';
import { uploadManyOn } from './many/upload-many.ts';
import type { Md5Cache } from './node/md5-cache.ts';
import type { Body } from './node/memory-source.ts';
import { createPutClient } from './node/put.ts';
import { findSource, type UploadSource } from './node/source.ts';
import type { Platform } from './upload/platform.ts';
import { type UploadOptions as FileOptions, type UploadResult, uploadFileOn } from './upload/upload-file.ts';

export { FileService } from '../../gen/files/v1/file_service_pb.ts';
export { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
export type { ItemRetry, ManyProgress, UploadOutcome } from './many/options.ts';
export { type FileMd5Cache, openMd5Cache } from './node/md5-cache.ts';
export type { Progress } from './upload/progress.ts';
export type { RetryReport } from './upload/retry.ts';
export { UploadError, type UploadErrorReason } from './upload/upload-error.ts';
export type { Md5Cache, UploadManySummary, UploadResult, UploadSource };

/** The options that exist only in the entry for Node, and not in `browser.ts`. */
interface NodeOptions {
  /**
   * The MD5s from an earlier call. A file that has not changed since then is not hashed again. Used for sources that
   * are paths or `file:` URLs. `openMd5Cache` reads a cache from a file, and its `save` writes the file anew.
   */
  md5Cache?: Md5Cache;
  /**
   * Sends the PUTs to S3, through a proxy for example. Must be an `https.Agent` if S3 has https. The caller closes it.
   * Default: an agent for this call, which uses the proxy of NODE_USE_ENV_PROXY.
   */
  agent?: Agent;
}

export interface UploadOptions extends FileOptions, NodeOptions {}
export interface UploadManyOptions<Item> extends ManyOptions<Item>, NodeOptions {}
export type UploadItem = SourceItem<UploadSource>;

/**
 * Uploads a file, and resolves when the file is READY (stored, and verified by the service). It hashes the file,
 * creates the upload, sends the bytes that S3 does not have, and verifies the result. Content that is stored already is
 * not sent again. A call can be repeated after any failure and after a crash. A large file is sent in parts, and the
 * repeated call then sends only the missing parts.
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
  return uploadFileOn(nodeWith(options), client, source, options);
}

/**
 * Uploads many files, each as `uploadFile` does, and resolves when the outcome of each file is known. One call to the
 * service creates the uploads of many files, and the PUTs share connections. An error of one file does not end the
 * others: it is the outcome of this file.
 *
 * When the promise settles, every socket, timer, thread and file that this call opened is closed.
 *
 * @param items may be endless: the items are taken as the uploads proceed
 * @throws the reason of the signal, an error of the iterator, or an error that a callback has thrown
 */
export function uploadMany<Item extends UploadItem>(
  client: Client<typeof FileService>,
  items: Iterable<Item> | AsyncIterable<Item>,
  options: UploadManyOptions<Item> = {},
): Promise<UploadManySummary> {
  return uploadManyOn(nodeWith(options), client, items, options);
}

function nodeWith({ md5Cache, agent }: NodeOptions): Platform<UploadSource, Body> {
  const hashing = createGate(1);
  return {
    find: (source) => findSource(source, { md5Cache, hashing }),
    createPutClient: () => createPutClient(agent),
  };
}
