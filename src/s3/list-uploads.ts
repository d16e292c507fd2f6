import {
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandInput,
  type S3Client,
} from '@aws-sdk/client-s3';
import type { ListedUpload } from '../files/ports/inventories.ts';

/**
 * Lists multipart uploads that are neither completed nor aborted, in the order of their keys' bytes, with one
 * page in memory. The SDK has no paginator for ListMultipartUploads.
 */
export async function* listUploads(
  client: S3Client,
  input: ListMultipartUploadsCommandInput,
  options: { abortSignal?: AbortSignal } = {},
): AsyncIterable<ListedUpload> {
  let markers: Pick<ListMultipartUploadsCommandInput, 'KeyMarker' | 'UploadIdMarker'> = {};
  for (;;) {
    const page = await client.send(new ListMultipartUploadsCommand({ ...input, ...markers }), options);
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      if (Key === undefined || UploadId === undefined || Initiated === undefined) continue;
      yield { s3Key: Key, uploadId: UploadId, initiated: Initiated };
    }
    if (page.IsTruncated !== true) return;
    markers = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
  }
}
