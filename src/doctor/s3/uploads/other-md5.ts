import type { Row } from '../../row.ts';
import { mustRefuse } from '../answers.ts';
import type { ProbedBucket } from '../probed-bucket.ts';
import { digestOf, headersOfUpload, SAMPLE_BYTES } from '../sample.ts';

export const otherMd5: Row<ProbedBucket> = {
  title: 'a PUT with another Content-MD5 than its URL signs is refused',
  invariant: 'I2',
  meaning: 'A user can upload other bytes under the URL of a file.',
  remedy: 'Use another server.',
  probe: (bucket) => {
    const body = Buffer.from(SAMPLE_BYTES).fill('y');
    return mustRefuse(bucket, {
      method: 'PUT',
      key: bucket.key('other-md5'),
      signed: headersOfUpload(bucket),
      sent: { 'content-md5': digestOf(body, 'base64') },
      body,
    });
  },
};
