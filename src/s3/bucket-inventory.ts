import { ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3';
import type { BucketInventory } from '../files/ports/inventories.ts';
import { incompleteAnswer, UnusableAnswerError } from './answers/unusable-answer.ts';
import { listPages } from './list-pages.ts';
import { listUploads } from './list-uploads.ts';

/**
 * Lists the objects and the multipart uploads of a bucket, for `npm run reconcile`, which compares them with the rows
 * of the database. S3 lists keys in the order of their bytes, up to 1,000 per page (Amazon S3 API Reference,
 * "ListObjectsV2").
 */
export function createBucketInventory(client: S3Client, bucket: string): BucketInventory {
  return {
    async *list() {
      let last = '';
      for await (const { Contents = [] } of objectPages(client, bucket)) {
        for (const { Key, Size, ETag, LastModified } of Contents) {
          if (Key === undefined || Size === undefined || ETag === undefined || LastModified === undefined) {
            throw incompleteAnswer('ListObjectsV2', 'the Key, Size, ETag or LastModified of an object');
          }
          if (!isAfter(Key, last)) throw new UnusableAnswerError('ListObjectsV2 listed keys out of order');
          last = Key;
          yield {
            s3Key: Key,
            size: Size,
            etag: ETag.replaceAll('"', ''),
            lastModified: LastModified,
          };
        }
      }
    },

    uploads: () => listUploads(client, { Bucket: bucket }),
  };
}

function objectPages(client: S3Client, bucket: string) {
  return listPages(
    'ListObjectsV2',
    (markers) => client.send(new ListObjectsV2Command({ Bucket: bucket, ...markers })),
    ({ IsTruncated, NextContinuationToken }) =>
      IsTruncated === true ? { ContinuationToken: NextContinuationToken } : undefined,
  );
}

/**
 * Whether a key comes after the last key, as strings or as bytes. The strings are compared first, because
 * this is faster than comparing bytes. The two orders differ only for characters above U+DFFF. The keys of
 * this service are ASCII, so for them the result is always that of the bytes.
 */
function isAfter(key: string, last: string): boolean {
  return key > last || Buffer.compare(Buffer.from(key), Buffer.from(last)) > 0;
}
