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
import type { MultipartStore } from '../files/ports.ts';
import type { StoredPart } from '../files/rules/parts.ts';
import { openUploads } from './open-uploads.ts';
import type { Send } from './send.ts';

/** What S3 says of uploads in parts, and what it is told to do with them. */
export function createMultipartStore(client: S3Client, bucket: string, send: Send): MultipartStore {
  return {
    begin: (s3Key, mimeType, deadline) =>
      send('CreateMultipartUpload', deadline, async (options) => {
        const input = { Bucket: bucket, Key: s3Key, ContentType: mimeType };
        const { UploadId } = await client.send(new CreateMultipartUploadCommand(input), options);
        if (UploadId === undefined) throw new Error('CreateMultipartUpload answered without an UploadId');
        return UploadId;
      }),

    uploadsOf: (s3Key, deadline) =>
      send('ListMultipartUploads', deadline, async (options) => {
        const ids: string[] = [];
        // Keys of other files may begin with this one.
        for await (const upload of openUploads(client, { Bucket: bucket, Prefix: s3Key }, options)) {
          if (upload.s3Key === s3Key) ids.push(upload.uploadId);
        }
        return ids;
      }),

    parts: (s3Key, uploadId, deadline) =>
      send('ListParts', deadline, async (options) => {
        try {
          const input = { Bucket: bucket, Key: s3Key, UploadId: uploadId };
          return await storedParts(client, input, options);
        } catch (error) {
          if (isNoSuchUpload(error)) return undefined;
          throw error;
        }
      }),

    complete: (s3Key, uploadId, parts, deadline) =>
      send('CompleteMultipartUpload', deadline, async (options) => {
        const Parts = parts.map(({ number, etag }) => ({ PartNumber: number, ETag: `"${etag}"` }));
        const input = { Bucket: bucket, Key: s3Key, UploadId: uploadId, MultipartUpload: { Parts } };
        // Thousands of parts take S3 longer than any other request.
        const patient = { ...options, requestTimeout: timeLeft(deadline) };
        await client.send(new CompleteMultipartUploadCommand(input), patient);
      }),

    abort: (s3Key, uploadId, deadline) =>
      send('AbortMultipartUpload', deadline, async (options) => {
        try {
          const input = { Bucket: bucket, Key: s3Key, UploadId: uploadId };
          await client.send(new AbortMultipartUploadCommand(input), options);
        } catch (error) {
          if (!isNoSuchUpload(error)) throw error;
        }
      }),
  };
}

/** The SDK's own paginator goes on for as long as S3 names a marker, which it does on the last page, too. */
async function storedParts(
  client: S3Client,
  input: ListPartsCommandInput,
  options: { abortSignal: AbortSignal },
): Promise<StoredPart[]> {
  const parts: StoredPart[] = [];
  let marker: string | undefined;
  do {
    const page = await client.send(new ListPartsCommand({ ...input, PartNumberMarker: marker }), options);
    for (const { PartNumber, Size, ETag } of page.Parts ?? []) {
      if (PartNumber === undefined || Size === undefined || ETag === undefined) continue;
      parts.push({ number: PartNumber, size: Size, etag: ETag.replaceAll('"', '') });
    }
    marker = page.IsTruncated ? page.NextPartNumberMarker : undefined;
  } while (marker !== undefined);
  return parts;
}

/** Completed, aborted, or never there. Ceph's RGW says NoSuchKey when it is asked for the parts. */
function isNoSuchUpload(error: unknown): boolean {
  return error instanceof S3ServiceException && (error.name === 'NoSuchUpload' || error.name === 'NoSuchKey');
}
