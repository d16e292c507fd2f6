import type { Download, ProbedBucket } from './probed-bucket.ts';
import { headersOfUpload, SAMPLE_BYTES } from './sample.ts';

/** Headers that the holder of an upload URL can add to the PUT, because the URL does not sign them. */
const UPLOADERS_HEADERS = { 'cache-control': 'max-age=60', 'content-disposition': 'inline' };

export async function download(bucket: ProbedBucket): Promise<Download> {
  const key = bucket.key('download');
  const put = await bucket.send({
    method: 'PUT',
    key,
    signed: headersOfUpload(bucket),
    sent: UPLOADERS_HEADERS,
    body: SAMPLE_BYTES,
  });
  const get = await bucket.send({ method: 'GET', key, query: { ...bucket.settings.downloadQuery } });
  return { put, get };
}
