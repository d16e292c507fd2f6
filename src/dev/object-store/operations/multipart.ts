import { createHash } from 'node:crypto';
import { S3Error } from '../errors.ts';
import { type Answer, type ObjectCall, xmlAnswer } from '../operation.ts';
import { queryValue } from '../request.ts';
import type { Part, Upload } from '../storage/uploads.ts';
import { malformed, readParts, xmlDocument } from '../xml.ts';
import { assertNothingUnknownAsked, objectHeaders } from './put-object.ts';

/** The most parts that S3 accepts in one upload. */
const PARTS_MAX = 10_000;

export async function initiateMultipartUpload({
  request,
  objects,
  uploads,
  bucket,
  key,
}: ObjectCall): Promise<Answer> {
  assertNothingUnknownAsked(request);
  objects.assertBucket(bucket);
  const uploadId = await uploads.create(bucket, key, objectHeaders(request));
  return xmlAnswer(
    xmlDocument('InitiateMultipartUploadResult', { Bucket: bucket, Key: key, UploadId: uploadId }),
  );
}

/** Stores a part. It replaces an earlier part with the same number. */
export async function uploadPart(call: ObjectCall): Promise<Answer> {
  const { request, body, uploads } = call;
  assertNothingUnknownAsked(request);
  const upload = uploadOf(call);
  const partNumber = Number(queryValue(request, 'partNumber'));
  if (!Number.isInteger(partNumber) || partNumber < 1 || partNumber > PARTS_MAX) {
    const message = `Part number must be an integer between 1 and ${PARTS_MAX}, inclusive`;
    throw new S3Error('InvalidArgument', message, { ArgumentName: 'partNumber' });
  }
  const { etag } = await uploads.putPart(upload, partNumber, body.receive);
  return { status: 200, headers: { etag } };
}

export async function abortMultipartUpload(call: ObjectCall): Promise<Answer> {
  await call.uploads.forget(uploadOf(call));
  return { status: 204 };
}

/**
 * Completes an upload. Concurrent completions of one upload run one after the other, so that the parts are copied
 * only once: after the first call has succeeded, the second call gets NoSuchUpload.
 */
export async function assembleMultipartUpload(call: ObjectCall): Promise<Answer> {
  const xml = await call.body.text();
  return call.uploads.oneAtATime(uploadOf(call), () => complete(call, xml));
}

/**
 * Makes the object from the parts. The object appears completely or not at all, and the upload ends in the same
 * step. A refused completion does not change the upload, so the client can send missing parts and complete again.
 */
async function complete(call: ObjectCall, xml: string): Promise<Answer> {
  const { request, objects, uploads, bucket, key, minPartBytes } = call;
  const upload = uploadOf(call);
  const parts = chooseParts(upload, xml, minPartBytes);
  let ended: Promise<void> | undefined;
  const record = await objects.put(
    bucket,
    key,
    async (append) => {
      const md5OfMd5s = createHash('md5');
      let sizeBytes = 0;
      for (const part of parts) {
        await copyPart(call, upload, part, append);
        md5OfMd5s.update(Buffer.from(part.etag.slice(1, -1), 'hex'));
        sizeBytes += part.sizeBytes;
      }
      return { sizeBytes, etag: `"${md5OfMd5s.digest('hex')}-${parts.length}"` };
    },
    {
      headers: upload.headers,
      onlyIfAbsent: request.headers.get('if-none-match') === '*',
      commit: (appear) => {
        // Throws NoSuchUpload if the upload was aborted while its parts were copied.
        uploadOf(call);
        appear();
        ended = uploads.forget(upload);
      },
    },
  );
  await ended;
  return xmlAnswer(
    xmlDocument('CompleteMultipartUploadResult', {
      Location: `/${bucket}/${key}`,
      Bucket: bucket,
      Key: key,
      ETag: record.etag,
    }),
  );
}

async function copyPart(
  call: ObjectCall,
  upload: Upload,
  part: Part,
  append: (bytes: Buffer) => Promise<void>,
): Promise<void> {
  if (part.sizeBytes === 0) return;
  try {
    const bytesOfPart = upload.parts.read(`${part.partNumber}`, 0, part.sizeBytes - 1);
    for await (const bytes of bytesOfPart) await append(bytes);
  } catch (error) {
    // If the upload has ended, its files are missing, and that caused the error: `uploadOf` throws NoSuchUpload.
    uploadOf(call);
    throw error;
  }
}

export function uploadOf({ request, uploads, bucket, key }: ObjectCall): Upload {
  return uploads.get(bucket, key, queryValue(request, 'uploadId') ?? '');
}

function chooseParts(upload: Upload, xml: string, minPartBytes: number): Part[] {
  const asked = readParts(xml).map(({ PartNumber = '', ETag }) => {
    if (!/^[0-9]{1,5}$/.test(PartNumber) || ETag === undefined) throw malformed();
    // Some clients send the quotes of the ETag as they are, some as an XML entity, and some send no quotes.
    return { partNumber: Number(PartNumber), etag: `"${ETag.replaceAll(/"|&quot;|&#34;/g, '')}"` };
  });
  if (asked.length > PARTS_MAX) throw malformed();
  for (const [index, { partNumber }] of asked.entries()) {
    if (partNumber <= (asked[index - 1]?.partNumber ?? 0)) {
      const message = 'The list of parts was not in ascending order. Parts must be ordered by part number.';
      throw new S3Error('InvalidPartOrder', message);
    }
  }
  const chosen = asked.map(({ partNumber, etag }) => {
    const part = upload.parts.records.get(`${partNumber}`);
    if (part === undefined || part.etag !== etag) {
      const message =
        'One or more of the specified parts could not be found. The part may not have been uploaded, or the ' +
        "specified entity tag may not match the part's entity tag.";
      throw new S3Error('InvalidPart', message, { PartNumber: `${partNumber}` });
    }
    return part;
  });
  const tooSmall = chosen.slice(0, -1).find((part) => part.sizeBytes < minPartBytes);
  if (tooSmall !== undefined) {
    throw new S3Error('EntityTooSmall', 'Your proposed upload is smaller than the minimum allowed size', {
      ProposedSize: `${tooSmall.sizeBytes}`,
      MinSizeAllowed: `${minPartBytes}`,
      PartNumber: `${tooSmall.partNumber}`,
    });
  }
  return chosen;
}
