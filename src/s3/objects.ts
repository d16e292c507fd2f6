import {
  DeleteObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  NotFound,
  type S3Client,
} from '@aws-sdk/client-s3';
import type { Deadline } from '../files/deadline.ts';
import type { StoredObject } from '../files/file.ts';
import { type Fingerprint, parseFingerprint } from '../files/fingerprint.ts';
import type { ObjectStore } from '../files/ports.ts';
import type { Send } from './send.ts';

/** The port's two verbs and a check, each one request to S3. */
export function createObjectStore(
  client: S3Client,
  bucket: string,
  send: Send,
): ObjectStore & { check(deadline: Deadline): Promise<void> } {
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
    fingerprint: fingerprintIn(etag, head),
    mimeType: ContentType ?? 'application/octet-stream',
    lastModified: LastModified,
  };
}

/**
 * The ETag is made of MD5s, except under SSE-KMS and SSE-C, where it only looks
 * so (Amazon S3 API Reference, "Object").
 */
function fingerprintIn(etag: string, head: HeadObjectCommandOutput): Fingerprint | undefined {
  const opaque = head.ServerSideEncryption?.startsWith('aws:kms') || head.SSECustomerAlgorithm !== undefined;
  return opaque ? undefined : parseFingerprint(etag.toLowerCase());
}
