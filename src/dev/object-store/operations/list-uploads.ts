import { S3Error } from '../errors.ts';
import { type Answer, type BucketCall, countOf, type ObjectCall, xmlAnswer } from '../operation.ts';
import { queryValue } from '../request.ts';
import { utf8Form } from '../storage/key-order.ts';
import { xmlDocument } from '../xml.ts';
import { keyEncoding } from './list-objects.ts';
import { uploadOf } from './multipart.ts';

/** The number of parts or uploads that S3 lists on one page at most. */
const PAGE_ENTRIES_MAX = 1000;

export async function listParts(call: ObjectCall): Promise<Answer> {
  const { request, bucket, key } = call;
  const { uploadId, parts } = uploadOf(call);
  const maxParts = countOf('max-parts', queryValue(request, 'max-parts'), PAGE_ENTRIES_MAX);
  const marker = Number(queryValue(request, 'part-number-marker') ?? '0');
  const following = [...parts.records.values()]
    .filter((part) => part.partNumber > marker)
    .sort((a, b) => a.partNumber - b.partNumber);
  const page = following.slice(0, maxParts);
  return xmlAnswer(
    xmlDocument('ListPartsResult', {
      Bucket: bucket,
      Key: keyEncoding(request)(key),
      UploadId: uploadId,
      PartNumberMarker: marker,
      NextPartNumberMarker: page.at(-1)?.partNumber ?? 0,
      MaxParts: maxParts,
      IsTruncated: page.length < following.length,
      StorageClass: 'STANDARD',
      Part: page.map(({ partNumber, lastModified, etag, sizeBytes }) => ({
        PartNumber: partNumber,
        LastModified: lastModified,
        ETag: etag,
        Size: sizeBytes,
      })),
    }),
  );
}

/** Lists the uploads ordered by key, and the uploads of one key ordered by upload id. */
export async function listMultipartUploads({
  request,
  objects,
  uploads,
  bucket,
}: BucketCall): Promise<Answer> {
  objects.assertBucket(bucket);
  if (queryValue(request, 'delimiter') !== undefined) {
    throw new S3Error('NotImplemented', 'This development store lists uploads without a delimiter only');
  }
  const prefix = queryValue(request, 'prefix') ?? '';
  const keyMarker = queryValue(request, 'key-marker') ?? '';
  const uploadIdMarker = queryValue(request, 'upload-id-marker') ?? '';
  const maxUploads = countOf('max-uploads', queryValue(request, 'max-uploads'), PAGE_ENTRIES_MAX);
  const encode = keyEncoding(request);

  // Without an upload id marker, the page starts after all uploads of the marked key. The id `~` stands for "after
  // all", because no upload id sorts above it.
  const marker = keyMarker === '' ? '' : orderOf(keyMarker, uploadIdMarker === '' ? '~' : uploadIdMarker);
  const following = uploads
    .list(bucket)
    .filter(({ key }) => key.startsWith(prefix))
    .map((upload) => ({ ...upload, order: orderOf(upload.key, upload.uploadId) }))
    .filter(({ order }) => order > marker)
    .sort((a, b) => (a.order < b.order ? -1 : 1));
  const page = following.slice(0, maxUploads);
  const isTruncated = page.length < following.length;
  const last = isTruncated ? page.at(-1) : undefined;
  return xmlAnswer(
    xmlDocument('ListMultipartUploadsResult', {
      Bucket: bucket,
      KeyMarker: encode(keyMarker),
      UploadIdMarker: uploadIdMarker,
      NextKeyMarker: last === undefined ? undefined : encode(last.key),
      NextUploadIdMarker: last?.uploadId,
      Prefix: encode(prefix),
      EncodingType: queryValue(request, 'encoding-type'),
      MaxUploads: maxUploads,
      IsTruncated: isTruncated,
      Upload: page.map(({ key, uploadId, initiated }) => ({
        Key: encode(key),
        UploadId: uploadId,
        Initiated: initiated,
        StorageClass: 'STANDARD',
      })),
    }),
  );
}

/**
 * Returns a text whose order is the order of the pair (key, upload id). This holds because the separator, NUL, sorts
 * below every other byte of a key.
 */
function orderOf(key: string, uploadId: string): string {
  return `${utf8Form(key)}\u0000${uploadId}`;
}
