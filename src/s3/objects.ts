import {
  DeleteObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  NotFound,
  type S3Client,
} from '@aws-sdk/client-s3';
import { type Deadline, timeLeft } from '../files/deadline.ts';
import type { StoredObject } from '../files/file.ts';
import { FileError } from '../files/file-error.ts';
import { parseMd5 } from '../files/md5.ts';
import type { ObjectStore, Observe } from '../files/ports.ts';

const RETRY_AFTER_MS = 1_000;

/** The port's two verbs and a check, each one request to S3. */
export function createObjectStore(
  client: S3Client,
  bucket: string,
  observe: Observe,
): ObjectStore & { check(deadline: Deadline): Promise<void> } {
  const send = async <Result>(
    operation: string,
    deadline: Deadline,
    call: (options: { abortSignal: AbortSignal }) => Promise<Result>,
  ): Promise<Result> => {
    const abortSignal = AbortSignal.timeout(timeLeft(deadline));
    try {
      return await observe(operation, () => call({ abortSignal }));
    } catch (error) {
      throw new FileError('STORAGE_UNAVAILABLE', 'the object storage does not answer; retry', {
        retryAfterMs: RETRY_AFTER_MS,
        cause: error,
      });
    }
  };

  return {
    head: (s3Key, deadline) =>
      send('HeadObject', deadline, async (options) => {
        try {
          const head = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: s3Key }), options);
          return toStoredObject(head);
        } catch (error) {
          if (error instanceof NotFound) return undefined;
          throw error;
        }
      }),

    remove: (s3Key, deadline) =>
      send('DeleteObject', deadline, async (options) => {
        await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: s3Key }), options);
      }),

    check: (deadline) =>
      send('HeadBucket', deadline, async (options) => {
        await client.send(new HeadBucketCommand({ Bucket: bucket }), options);
      }),
  };
}

function toStoredObject(head: HeadObjectCommandOutput): StoredObject {
  const { ContentLength, ETag, ContentType, LastModified } = head;
  if (ContentLength === undefined || ETag === undefined || LastModified === undefined) {
    throw new Error('HeadObject answered without Content-Length, ETag or Last-Modified');
  }
  const etag = ETag.replaceAll('"', '');
  return {
    size: ContentLength,
    etag,
    md5: etagIsMd5(etag, head) ? parseMd5(etag) : undefined,
    mimeType: ContentType ?? 'application/octet-stream',
    lastModified: LastModified,
  };
}

/**
 * After a single PUT the ETag is the MD5, except under SSE-KMS and SSE-C, where
 * it only looks like one (Amazon S3 API Reference, "Object").
 */
function etagIsMd5(etag: string, head: HeadObjectCommandOutput): boolean {
  const opaque = head.ServerSideEncryption?.startsWith('aws:kms') || head.SSECustomerAlgorithm !== undefined;
  return !opaque && /^[0-9a-f]{32}$/i.test(etag);
}
