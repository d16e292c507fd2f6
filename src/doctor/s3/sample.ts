import { createHash } from 'node:crypto';
import type { ProbedBucket, Sample } from './probed-bucket.ts';

export const SAMPLE_BYTES = Buffer.from('file-service doctor\n');
/**
 * An unusual type. A server that ignores the Content-Type of a PUT and sets a type of its own would hardly
 * set this type, so `uploads/content-type.ts` notices such a server.
 */
export const SAMPLE_TYPE = 'application/x-file-service-doctor';

export const digestOf = (bytes: Uint8Array, encoding: 'base64' | 'hex') =>
  createHash('md5').update(bytes).digest(encoding);

/** The headers that the service signs for a PUT of these bytes. */
export function headersOfUpload({ settings }: ProbedBucket, bytes: Uint8Array = SAMPLE_BYTES) {
  return {
    'Content-Type': SAMPLE_TYPE,
    'Content-MD5': digestOf(bytes, 'base64'),
    'Content-Length': String(bytes.length),
    ...settings.uploadHeaders.whole,
  };
}

export async function uploadSample(bucket: ProbedBucket): Promise<Sample> {
  const key = bucket.key('sample');
  const put = await bucket.send({ method: 'PUT', key, signed: headersOfUpload(bucket), body: SAMPLE_BYTES });
  const head = await bucket.send({ method: 'HEAD', key });
  return { key, put, head };
}
