import { paginateListObjectsV2, type S3Client } from '@aws-sdk/client-s3';
import type { BucketInventory } from '../files/ports/inventories.ts';
import { listUploads } from './list-uploads.ts';

/**
 * Lists the objects and the multipart uploads of a bucket, for `reconcile`. S3 lists keys in the order of
 * their bytes, up to a thousand per page (Amazon S3 API Reference, "ListObjectsV2").
 */
export function createBucketInventory(client: S3Client, bucket: string): BucketInventory {
  return {
    async *list() {
      for await (const page of paginateListObjectsV2({ client }, { Bucket: bucket })) {
        for (const { Key, Size, ETag, LastModified } of page.Contents ?? []) {
          if (Key === undefined || LastModified === undefined) continue;
          yield {
            s3Key: Key,
            size: Size ?? 0,
            etag: (ETag ?? '').replaceAll('"', ''),
            lastModified: LastModified,
          };
        }
      }
    },

    uploads: () => listUploads(client, { Bucket: bucket }),
  };
}
