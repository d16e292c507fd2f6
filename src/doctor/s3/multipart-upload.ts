import { createHash } from 'node:crypto';
import { isSuccess } from './answers.ts';
import type { MultipartUpload, ProbedBucket } from './probed-bucket.ts';
import { digestOf, SAMPLE_TYPE } from './sample.ts';
import type { S3Answer } from './send.ts';
import { textsIn } from './xml.ts';

/** S3 accepts smaller parts only as the last part of an upload. */
const PART_MIN_BYTES = 5 * 1024 ** 2;

export const PARTS: readonly Buffer[] = [
  Buffer.alloc(PART_MIN_BYTES, 'file-service doctor\n'),
  Buffer.from('end'),
];

/** The ETag that the service expects of the object: the MD5 of the parts' MD5s, and their number. */
export function expectedEtag(): string {
  const hash = createHash('md5');
  for (const part of PARTS) hash.update(createHash('md5').update(part).digest());
  return `${hash.digest('hex')}-${PARTS.length}`;
}

export async function multipartUpload(bucket: ProbedBucket): Promise<MultipartUpload> {
  const key = bucket.key('multipart');
  const begun = await begin(bucket, key);
  if (!isSuccess(begun)) return { refused: { step: 'CreateMultipartUpload', answer: begun } };
  const [uploadId = ''] = textsIn(begun.body, 'UploadId');
  const parts = await Promise.all(PARTS.map((bytes, i) => putPart(bucket, key, uploadId, i + 1, bytes)));
  const failed = parts.find((answer) => !isSuccess(answer));
  if (failed !== undefined) return { refused: { step: 'UploadPart', answer: failed } };

  const listed = await bucket.send({ method: 'GET', key, query: { uploadId } });
  const etags = parts.map(({ headers }) => headers.etag ?? '');
  const completed = await bucket.send({ method: 'POST', key, query: { uploadId }, body: completion(etags) });
  // S3 can report a failure of the completion in the body of a 200.
  const isCompleted = isSuccess(completed) && completed.code === '';
  if (!isCompleted) return { listed, refused: { step: 'CompleteMultipartUpload', answer: completed } };
  return { listed, head: await bucket.send({ method: 'HEAD', key }) };
}

export function begin({ send, settings }: ProbedBucket, key: string): Promise<S3Answer> {
  const signed = { 'Content-Type': SAMPLE_TYPE, ...settings.uploadHeaders.whole };
  return send({ method: 'POST', key, query: { uploads: '' }, signed, body: Buffer.alloc(0) });
}

/** @param md5 the MD5 that the URL signs. Default: the MD5 of the bytes */
export function putPart(
  { send, settings }: ProbedBucket,
  key: string,
  uploadId: string,
  number: number,
  bytes: Buffer,
  md5 = digestOf(bytes, 'base64'),
): Promise<S3Answer> {
  const signed = {
    'Content-MD5': md5,
    'Content-Length': String(bytes.length),
    ...settings.uploadHeaders.part,
  };
  const query = { partNumber: String(number), uploadId };
  return send({ method: 'PUT', key, query, signed, body: bytes });
}

function completion(etags: readonly string[]): Buffer {
  const parts = etags.map((etag, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${etag}</ETag></Part>`);
  return Buffer.from(
    `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${parts.join('')}</CompleteMultipartUpload>`,
  );
}
