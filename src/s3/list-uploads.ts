import {
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandInput,
  type S3Client,
} from '@aws-sdk/client-s3';
import type { ListedUpload } from '../files/ports/inventories.ts';
import { incompleteAnswer } from './answers/unusable-answer.ts';
import { listPages } from './list-pages.ts';

/**
 * Lists multipart uploads that are neither completed nor aborted. Keeps only one page of the list in memory.
 *
 * @throws Error if S3 does not answer, leaves out a field of an upload, or says that more uploads follow and gives no
 *   marker, or an earlier marker
 */
export async function* listUploads(
  client: S3Client,
  input: ListMultipartUploadsCommandInput,
  options: { abortSignal?: AbortSignal } = {},
): AsyncIterable<ListedUpload> {
  const pages = listPages(
    'ListMultipartUploads',
    (markers) => client.send(new ListMultipartUploadsCommand({ ...input, ...markers }), options),
    ({ IsTruncated, NextKeyMarker, NextUploadIdMarker }) =>
      IsTruncated === true ? { KeyMarker: NextKeyMarker, UploadIdMarker: NextUploadIdMarker } : undefined,
  );
  for await (const { Uploads = [] } of pages) {
    for (const { Key, UploadId, Initiated } of Uploads) {
      if (Key === undefined || UploadId === undefined || Initiated === undefined) {
        throw incompleteAnswer('ListMultipartUploads', 'the Key, UploadId or Initiated of an upload');
      }
      yield { s3Key: Key, uploadId: UploadId, initiated: Initiated };
    }
  }
}
