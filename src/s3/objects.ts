import {
  DeleteObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListObjectsV2Command,
  NotFound,
  type S3Client,
} from '@aws-sdk/client-s3';
import type { Work } from '../files/call.ts';
import type { StoredObject } from '../files/file.ts';
import type { ObjectStore } from '../files/ports/object-store.ts';
import { isUnacceptableKey } from '../files/refusal-error.ts';
import { parseFingerprint } from '../files/rules/fingerprint.ts';
import { createExplain, type Explain } from './answers/explain.ts';
import { codeIn, isRefusedStatus, statusIn } from './answers/refusals.ts';
import { incompleteAnswer } from './answers/unusable-answer.ts';
import type { LocatedBucket } from './bucket-location.ts';
import type { Send } from './send.ts';
import { createSignedRequest, type SignedResponse } from './signed-request.ts';

/**
 * Implements `ObjectStore`, and a check that the bucket can be used. HEAD and DELETE are first sent without the SDK
 * (`signed-request.ts`), which costs less CPU. If S3 answers with an unexpected status, or the request fails, the SDK
 * sends the request again, because the SDK handles retries, clock differences and error codes.
 *
 * @param explain shared by all stores of a bucket, because a success of one store proves to all that the bucket exists
 */
export function createObjectStore(
  client: S3Client,
  located: LocatedBucket,
  send: Send,
  explain: Explain = createExplain(client, located.bucket),
): ObjectStore & { check(work: Work): Promise<void> } {
  const Bucket = located.bucket;
  const request = createSignedRequest(client, located);

  return {
    head: (call, s3Key, confirmMissing = false) =>
      send(call, 'HeadObject', async (options) => {
        const response = await request('HEAD', s3Key, options).catch(unlessAborted(options));
        if (response?.status === 200) {
          explain.bucketSeen();
          return toStoredObject(headIn(response));
        }
        if (response !== undefined && isRefusedStatus(response.status)) {
          const seen = await explain.refusedHead(s3Key, response.status, { ...options, confirmMissing });
          if (seen === 'missing') return undefined;
        }
        try {
          return toStoredObject(await client.send(new HeadObjectCommand({ Bucket, Key: s3Key }), options));
        } catch (error) {
          if (!(error instanceof NotFound)) throw error;
          await explain.refusedHead(s3Key, 404, { ...options, confirmMissing });
          return undefined;
        }
      }),

    remove: (call, s3Key) =>
      send(call, 'DeleteObject', async (options) => {
        const response = await request('DELETE', s3Key, options).catch(unlessAborted(options));
        if (response?.status === 204) return explain.bucketSeen();
        try {
          await client.send(new DeleteObjectCommand({ Bucket, Key: s3Key }), options);
        } catch (error) {
          if (codeIn(error) === 'NoSuchKey') return;
          const refusal = await explain.classify('DeleteObject', error, options);
          if (refusal !== undefined && isUnacceptableKey(refusal)) return;
          throw refusal ?? error;
        }
      }),

    check: (work) =>
      send(work, 'HeadBucket', async (options) => {
        try {
          await client.send(new HeadBucketCommand({ Bucket }), options);
          explain.bucketSeen();
        } catch (error) {
          // The answer to a HEAD has no error code. A list needs the same permission, and its answer has a code.
          if (!isRefusedStatus(statusIn(error) ?? 0)) throw error;
          await client.send(new ListObjectsV2Command({ Bucket, MaxKeys: 1 }), options);
        }
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

/** The fields that the service reads from the response to a HEAD, whether the HEAD was sent with or without the SDK. */
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
  if (!isSize(ContentLength) || ETag === undefined || !isTimestamp(LastModified)) {
    throw incompleteAnswer('HeadObject', 'a valid Content-Length, ETag or Last-Modified');
  }
  const etag = ETag.replaceAll('"', '');
  const isEtagOpaque = hidesContent(head);
  return {
    size: ContentLength,
    etag,
    isEtagOpaque,
    fingerprint: isEtagOpaque ? undefined : parseFingerprint(etag.toLowerCase()),
    mimeType: ContentType ?? 'application/octet-stream',
    contentEncoding: ContentEncoding ?? '',
    lastModified: LastModified,
  };
}

function isSize(length: number | undefined): length is number {
  return Number.isSafeInteger(length);
}

/** The first and the last time that a `google.protobuf.Timestamp` may have: years 1 to 9999. */
const TIMESTAMP_MIN_MS = Date.parse('0001-01-01T00:00:00Z');
const TIMESTAMP_MAX_MS = Date.parse('9999-12-31T23:59:59Z');

/**
 * Whether a file can have this time. No statement can write an invalid Date, or a size above that of a bigint. Such a
 * value would fail the statement that marks up to 99 other files READY, too. A row with a time out of this range would
 * fail every list of its user.
 */
function isTimestamp(time: Date | undefined): time is Date {
  const ms = time?.getTime() ?? Number.NaN;
  return ms >= TIMESTAMP_MIN_MS && ms <= TIMESTAMP_MAX_MS;
}

/**
 * Whether the ETag says nothing about the content. Usually the ETag is the MD5 of the object, or is made of the MD5s
 * of its parts. With SSE-KMS and SSE-C, the ETag only looks like an MD5 (Amazon S3 API Reference, "Object").
 */
function hidesContent({ ServerSideEncryption, SSECustomerAlgorithm }: Head): boolean {
  return ServerSideEncryption?.startsWith('aws:kms') === true || SSECustomerAlgorithm !== undefined;
}
