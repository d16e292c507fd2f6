import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListPartsCommand,
  type ListPartsCommandInput,
  type S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import { timeLeft } from '../files/deadline.ts';
import type { MultipartStore } from '../files/ports/multipart-store.ts';
import type { StoredPart } from '../files/rules/parts.ts';
import { incompleteAnswer } from './answers/unusable-answer.ts';
import { listPages } from './list-pages.ts';
import { listUploads } from './list-uploads.ts';
import type { Send } from './send.ts';
import { NO_UPLOAD_HEADERS, type UploadHeaders } from './urls/upload-headers.ts';

/** Implements `MultipartStore` with the SDK's commands. `../files/ports/multipart-store.ts` describes its methods. */
export function createMultipartStore(
  client: S3Client,
  bucket: string,
  send: Send,
  headers: UploadHeaders = NO_UPLOAD_HEADERS,
): MultipartStore {
  return {
    begin: (call, s3Key, mimeType) =>
      send(call, 'CreateMultipartUpload', async (options) => {
        const input = { Bucket: bucket, Key: s3Key, ContentType: mimeType, ...headers.begin };
        const { UploadId } = await client.send(new CreateMultipartUploadCommand(input), options);
        if (!UploadId) throw incompleteAnswer('CreateMultipartUpload', 'an UploadId');
        return UploadId;
      }),

    uploadsOf: (call, s3Key) =>
      send(call, 'ListMultipartUploads', async (options) => {
        const ids: string[] = [];
        // S3 can only filter by prefix. The key can be a prefix of another file's key, whose uploads are not wanted.
        for await (const upload of listUploads(client, { Bucket: bucket, Prefix: s3Key }, options)) {
          if (upload.s3Key === s3Key) ids.push(upload.uploadId);
        }
        return ids;
      }),

    parts: (call, s3Key, uploadId) =>
      send(call, 'ListParts', async (options) => {
        try {
          const input = { Bucket: bucket, Key: s3Key, UploadId: uploadId };
          return await storedParts(client, input, options);
        } catch (error) {
          if (isNoSuchUpload(error)) return undefined;
          throw error;
        }
      }),

    complete: (call, s3Key, uploadId, parts) =>
      send(call, 'CompleteMultipartUpload', async (options) => {
        const Parts = parts.map(({ number, etag }) => ({ PartNumber: number, ETag: `"${etag}"` }));
        const input = {
          Bucket: bucket,
          Key: s3Key,
          UploadId: uploadId,
          MultipartUpload: { Parts },
          ...headers.complete,
        };
        // S3 takes longer to complete thousands of parts than for any other request, so only the caller's
        // deadline limits this request.
        const untilDeadline = { ...options, requestTimeout: timeLeft(call.deadline) };
        await client.send(new CompleteMultipartUploadCommand(input), untilDeadline);
      }),

    abort: (call, s3Key, uploadId) =>
      send(call, 'AbortMultipartUpload', async (options) => {
        try {
          const input = { Bucket: bucket, Key: s3Key, UploadId: uploadId };
          await client.send(new AbortMultipartUploadCommand(input), options);
        } catch (error) {
          if (!isNoSuchUpload(error)) throw error;
        }
      }),
  };
}

/** Lists all parts of an upload. S3 returns a marker even on the last page, so `IsTruncated` decides. */
async function storedParts(
  client: S3Client,
  input: ListPartsCommandInput,
  options: { abortSignal: AbortSignal },
): Promise<StoredPart[]> {
  const parts: StoredPart[] = [];
  const pages = listPages(
    'ListParts',
    (markers) => client.send(new ListPartsCommand({ ...input, ...markers }), options),
    ({ IsTruncated, NextPartNumberMarker }) =>
      IsTruncated === true ? { PartNumberMarker: NextPartNumberMarker } : undefined,
  );
  for await (const { Parts = [] } of pages) {
    for (const { PartNumber, Size, ETag } of Parts) {
      if (PartNumber === undefined || Size === undefined || !ETag) {
        throw incompleteAnswer('ListParts', 'the PartNumber, Size or ETag of a part');
      }
      parts.push({ number: PartNumber, size: Size, etag: ETag.replaceAll('"', '') });
    }
  }
  return parts;
}

/**
 * Whether the error means that the upload was completed, aborted or never started. Ceph RGW answers ListParts
 * with NoSuchKey in this case.
 */
function isNoSuchUpload(error: unknown): boolean {
  return error instanceof S3ServiceException && (error.name === 'NoSuchUpload' || error.name === 'NoSuchKey');
}
