import {
  DeleteObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  NotFound,
  type S3Client,
} from '@aws-sdk/client-s3';
import type { Work } from '../files/call.ts';
import type { StoredObject } from '../files/file.ts';
import type { ObjectStore } from '../files/ports/object-store.ts';
import { type Fingerprint, parseFingerprint } from '../files/rules/fingerprint.ts';
import type { LocatedBucket } from './bucket-location.ts';
import type { Send } from './send.ts';
import { createSignedRequest, type SignedResponse } from './signed-request.ts';

/**
 * Implements `ObjectStore`, and a check that the bucket can be reached. HEAD and DELETE are first
 * sent as signed requests without the SDK. If S3 answers with an unexpected status, or the request fails, the SDK
 * sends the request again, because the SDK handles redirects and error codes.
 */
export function createObjectStore(
  client: S3Client,
  located: LocatedBucket,
  send: Send,
): ObjectStore & { check(work: Work): Promise<void> } {
  const Bucket = located.bucket;
  const request = createSignedRequest(client, located);

  return {
    head: (call, s3Key) =>
      send(call, 'HeadObject', async (options) => {
        const response = await request('HEAD', s3Key, options).catch(unlessAborted(options));
        if (response?.status === 200) return toStoredObject(headIn(response));
        if (response?.status === 404) return undefined;
        try {
          return toStoredObject(await client.send(new HeadObjectCommand({ Bucket, Key: s3Key }), options));
        } catch (error) {
          if (error instanceof NotFound) return undefined;
          throw error;
        }
      }),

    remove: (call, s3Key) =>
      send(call, 'DeleteObject', async (options) => {
        const response = await request('DELETE', s3Key, options).catch(unlessAborted(options));
        if (response?.status === 204) return;
        await client.send(new DeleteObjectCommand({ Bucket, Key: s3Key }), options);
      }),

    check: (work) =>
      send(work, 'HeadBucket', async (options) => {
        await client.send(new HeadBucketCommand({ Bucket }), options);
      }),
  };
}

/**
 * Returns an error handler for a signed request. After a network error, the handler returns `undefined`, and
 * the caller sends the request again with the SDK. If the request was aborted, the handler throws the error,
 * because the deadline of the call has passed.
 */
function unlessAborted({ abortSignal }: { abortSignal: AbortSignal }): (error: unknown) => undefined {
  return (error) => {
    if (abortSignal.aborted) throw error;
  };
}

/** The fields of a HEAD response that the service reads, whether the SDK or the signed request sent it. */
type Head = Omit<HeadObjectCommandOutput, '$metadata'>;

function headIn({ headers }: SignedResponse): Head {
  const length = headers['content-length'];
  const lastModified = headers['last-modified'];
  return {
    ContentLength: length === undefined ? undefined : Number(length),
    ETag: headers.etag,
    ContentType: headers['content-type'],
    ContentEncoding: headers['content-encoding'],
    LastModified: lastModified === undefined ? undefined : new Date(lastModified),
    ServerSideEncryption: headers['x-amz-server-side-encryption'] as Head['ServerSideEncryption'],
    SSECustomerAlgorithm: headers['x-amz-server-side-encryption-customer-algorithm'],
  };
}

function toStoredObject(head: Head): StoredObject {
  const { ContentLength, ETag, ContentType, ContentEncoding, LastModified } = head;
  if (ContentLength === undefined || ETag === undefined || LastModified === undefined) {
    throw new Error('S3 answered HeadObject without Content-Length, ETag or Last-Modified');
  }
  const etag = ETag.replaceAll('"', '');
  return {
    size: ContentLength,
    etag,
    fingerprint: fingerprintIn(etag, head),
    mimeType: ContentType ?? 'application/octet-stream',
    contentEncoding: ContentEncoding ?? '',
    lastModified: LastModified,
  };
}

/**
 * The ETag is an MD5, or is made of the MD5s of the parts. With SSE-KMS and SSE-C, the ETag only looks like
 * an MD5 (Amazon S3 API Reference, "Object").
 */
function fingerprintIn(etag: string, head: Head): Fingerprint | undefined {
  const opaque = head.ServerSideEncryption?.startsWith('aws:kms') || head.SSECustomerAlgorithm !== undefined;
  return opaque ? undefined : parseFingerprint(etag.toLowerCase());
}
