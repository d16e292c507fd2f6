import type { Row } from '../../row.ts';
import { mustRefuse } from '../answers.ts';
import type { ProbedBucket } from '../probed-bucket.ts';
import { headersOfUpload, SAMPLE_BYTES } from '../sample.ts';

export const otherType: Row<ProbedBucket> = {
  title: 'a PUT with another Content-Type than its URL signs is refused',
  invariant: 'I2',
  meaning: 'A file can have another type than was announced.',
  remedy: 'Use another server.',
  probe: (bucket) =>
    mustRefuse(bucket, {
      method: 'PUT',
      key: bucket.key('other-type'),
      signed: headersOfUpload(bucket),
      sent: { 'content-type': 'text/html' },
      body: SAMPLE_BYTES,
    }),
};
