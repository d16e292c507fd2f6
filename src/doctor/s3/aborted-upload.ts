import { isSuccess } from './answers.ts';
import { begin, putPart } from './multipart-upload.ts';
import type { AbortedUpload, ProbedBucket } from './probed-bucket.ts';
import { digestOf, SAMPLE_BYTES } from './sample.ts';
import { textsIn } from './xml.ts';

export async function abortedUpload(bucket: ProbedBucket): Promise<AbortedUpload> {
  const key = bucket.key('aborted');
  const begun = await begin(bucket, key);
  if (!isSuccess(begun)) return { key, begun };
  const [uploadId = ''] = textsIn(begun.body, 'UploadId');
  const wrong = digestOf(Buffer.from('other bytes'), 'base64');
  const otherBytes = await putPart(bucket, key, uploadId, 1, SAMPLE_BYTES, wrong);
  await putPart(bucket, key, uploadId, 2, SAMPLE_BYTES);
  const open = await bucket.send({ method: 'GET', key: '', query: { uploads: '' } });
  const aborted = await bucket.send({ method: 'DELETE', key, query: { uploadId } });
  const parts = await bucket.send({ method: 'GET', key, query: { uploadId } });
  return { key, begun, steps: { otherBytes, open, aborted, parts } };
}
